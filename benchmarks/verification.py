"""Verifies every response of a server before it is timed: a fast wrong response is worthless."""

from __future__ import annotations

import base64
import copy
import json
import ssl
from typing import Any

import jsonpatch

from benchmarks.http_client import admission_response, encode_request, send
from benchmarks.reviews import Review, encoded
from benchmarks.server_process import RunningServer

LEAST_GRACE = 1800
"""Seconds: the annotation's grace period, lower than that of a server that ignores the annotation."""


class WrongAnswer(Exception):
    """A response is wrong."""


def verify(server: RunningServer, reviews: list[Review]) -> str:
    """Verify the response to each review; return the TLS version.

    Raises:
        WrongAnswer: one of them is wrong.

    """
    with server.connect() as connection:
        for review in reviews:
            response = admission_response(send(connection, encode_request(encoded(review), server.spec.path)))
            check(server.spec.answer, review, response)
            if server.spec.role == "ours":
                _check_again(connection, review, response)
        return connection.version() or ""


def check(answer: str, review: Review, response: dict[str, Any]) -> None:
    """Verify one response, as far as the server must be right (`ServerSpec.answer`).

    Raises:
        WrongAnswer: it is not.

    """
    _expect(response["allowed"] is True, "the pod is not allowed")
    if answer == "static":
        return
    _expect(response["uid"] == review["request"]["uid"], "the uid is not that of the request")
    pod = patched(review, response)
    if answer == "protects":
        _check_pod(review["request"]["object"], pod)
        for before, after in zip(
            review["request"]["object"]["spec"]["containers"], pod["spec"]["containers"], strict=True
        ):
            _check_container(before, after)
        _check_worker(review["request"]["object"]["spec"]["containers"][0], pod["spec"]["containers"][0])


def patched(review: Review, response: dict[str, Any]) -> dict[str, Any]:
    """Return the patched pod of a review.

    Raises:
        WrongAnswer: the patch does not apply.

    """
    operations = json.loads(base64.b64decode(response.get("patch", "W10="), validate=True))
    try:
        pod: dict[str, Any] = jsonpatch.apply_patch(review["request"]["object"], operations)
    except jsonpatch.JsonPatchException as error:
        raise WrongAnswer(f"the patch does not apply: {type(error).__name__}") from None
    return pod


def _check_pod(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Check what every protected pod has, however it is implemented, and what must be unchanged."""
    spec, volumes = after["spec"], before["spec"]["volumes"]
    _expect(spec["terminationGracePeriodSeconds"] >= LEAST_GRACE, "the grace period is not raised")
    _expect(after["metadata"]["labels"].get("sidecar.istio.io/inject") == "false", "Istio is not opted out of")
    _expect(all(volume in spec["volumes"] for volume in volumes), "a volume is lost")
    _expect(len(spec["volumes"]) == len(volumes) + 1, "there is no shared volume")


def _check_container(before: dict[str, Any], after: dict[str, Any]) -> None:
    mounts = before["volumeMounts"]
    _expect("exec" in after.get("lifecycle", {}).get("preStop", {}), "a container has no preStop hook")
    _expect(all(mount in after["volumeMounts"] for mount in mounts), "a mount is lost")
    _expect(len(after["volumeMounts"]) == len(mounts) + 1, "a container does not share the volume")
    _expect(all(after.get(key) == before[key] for key in ("name", "image", "env", "resources")), "a field was changed")


def _check_worker(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Check that every word of the worker's command is present, wrapped or not."""
    argv, protected = (container["command"] + container["args"] for container in (before, after))
    _expect(all(word in protected for word in argv), "the worker has lost a word")


def _check_again(connection: ssl.SSLSocket, review: Review, response: dict[str, Any]) -> None:
    """Check that ours does not patch a pod again."""
    again = copy.deepcopy(review)
    again["request"]["object"] = patched(review, response)
    second = admission_response(send(connection, encode_request(encoded(again))))
    _expect(second["allowed"] and "patch" not in second, "the patched pod is patched again")


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise WrongAnswer(otherwise)
