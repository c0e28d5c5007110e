"""Admission reviews: files as a real API server sends them, and variants of them."""

from __future__ import annotations

import base64
import json
from copy import deepcopy
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonpatch

FOLDER = Path(__file__).with_name("reviews")

Review = dict[str, Any]


def read_review(name: str) -> Review:
    """Read a review from the folder."""
    review: Review = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return review


def with_pod(review: Review, pod: Any) -> Review:
    """Return the review with another object."""
    return {**review, "request": {**review["request"], "object": pod}}


def fresh(review: Review, **request: Any) -> Review:
    """Return the review with a new uid, and with other changes to its request."""
    return {**review, "request": {**review["request"], "uid": str(uuid4()), **request}}


def uid_of(review: Review) -> str:
    uid: str = review["request"]["uid"]
    return uid


def patched(review: Review, response: dict[str, Any]) -> dict[str, Any]:
    """Return the pod of a review with the patch of the response applied."""
    operations = json.loads(base64.b64decode(response["patch"], validate=True))
    pod: dict[str, Any] = jsonpatch.apply_patch(deepcopy(review["request"]["object"]), operations)
    return pod


def large(review: Review, size: int) -> bytes:
    """Return a review of a pod with about this many bytes of environment variables."""
    pod = deepcopy(review["request"]["object"])
    value = "x" * 1000
    pod["spec"]["containers"][0]["env"] += [{"name": f"N{n}", "value": value} for n in range(size // 1030)]
    return json.dumps(with_pod(review, pod)).encode()
