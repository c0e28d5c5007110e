"""Verifies every answer of a server before it is timed: a fast wrong answer is worth nothing."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import jsonpatch

from benchmarks.exchange import exchange, request, response_of
from benchmarks.reviews import Review, encoded
from benchmarks.servers import Running

LEAST_GRACE = 1800
"""Seconds: what the reviews' annotation asks for, and less than what a server takes that does not read it."""


class Wrong(Exception):
    """A server's answer is not what it must be."""


def verify(server: Running, reviews: list[Review]) -> str:
    """Verify the answer to each of the reviews; return the version of TLS.

    Raises:
        Wrong: one of them is wrong.

    """
    with server.connect() as connection:
        for review in reviews:
            response = response_of(exchange(connection, request(encoded(review), server.contender.path)))
            try:
                _check(server.contender.answer, review, response)
            except AssertionError as wrong:
                raise Wrong(f"{server.contender.title}: {wrong}") from None
            if server.contender.role == "ours":
                _check_again(connection, review, response)
        return connection.version() or ""


def _check(answer: str, review: Review, response: dict[str, Any]) -> None:
    _expect(response["allowed"] is True, "the pod is not allowed")
    if answer == "static":
        return
    _expect(response["uid"] == review["request"]["uid"], "the uid is not that of the request")
    pod = patched(review, response)
    if answer == "protects":
        _check_protected(review["request"]["object"], pod)


def _check_protected(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Look for what a protected pod has, however it is done, and for what must still be there."""
    spec = after["spec"]
    _expect(spec["terminationGracePeriodSeconds"] >= LEAST_GRACE, "the grace period is not raised")
    _expect(after["metadata"]["labels"].get("sidecar.istio.io/inject") == "false", "Istio is not opted out of")
    old_volumes = before["spec"]["volumes"]
    _expect(all(volume in spec["volumes"] for volume in old_volumes), "a volume is lost")
    (shared,) = (volume["name"] for volume in spec["volumes"] if volume not in old_volumes)
    for old, new in zip(before["spec"]["containers"], spec["containers"], strict=True):
        _expect("exec" in new["lifecycle"]["preStop"], "a container has no preStop hook")
        _expect(any(mount["name"] == shared for mount in new["volumeMounts"]), "a container does not share the volume")
        _expect(all(mount in new["volumeMounts"] for mount in old["volumeMounts"]), "a mount is lost")
        _expect(all(new[key] == old[key] for key in ("name", "image", "env", "resources")), "a field was changed")
    old, new = before["spec"]["containers"][0], spec["containers"][0]
    argv, wrapped = old["command"] + old["args"], new["command"] + new["args"]
    _expect(wrapped[0].endswith("sh") and all(word in wrapped for word in argv), "the worker is not wrapped")


def _check_again(connection: Any, review: Review, response: dict[str, Any]) -> None:
    """Ours leaves alone what it has protected."""
    again = copy.deepcopy(review)
    again["request"]["object"] = patched(review, response)
    second = response_of(exchange(connection, request(encoded(again))))
    if not second["allowed"] or "patch" in second:
        raise Wrong("the patched pod is patched again")


def patched(review: Review, response: dict[str, Any]) -> dict[str, Any]:
    """Return the pod of a review as the patch makes it."""
    operations = json.loads(base64.b64decode(response.get("patch", "W10="), validate=True))
    pod: dict[str, Any] = jsonpatch.apply_patch(review["request"]["object"], operations)
    return pod


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise AssertionError(otherwise)
