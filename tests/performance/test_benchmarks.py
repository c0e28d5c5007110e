"""The benchmarks send the right reviews, and detect a wrong response."""

from __future__ import annotations

import base64
import copy
import json
import ssl
from typing import Any, cast

import jsonpatch
import pytest

from benchmarks import verification
from benchmarks.added_bytes import measure_added_bytes
from benchmarks.core_path import core
from benchmarks.goals import goals
from benchmarks.http_client import send
from benchmarks.reviews import COMMANDS, Review, encoded, review_of_size, reviews, with_own_template
from benchmarks.servers.protection import protect
from benchmarks.tables import number


@pytest.fixture
def review() -> Review:
    return reviews(1)[0]


@pytest.fixture
def response(review: Review) -> dict[str, Any]:
    pod = review["request"]["object"]
    operations = jsonpatch.make_patch(pod, protect(copy.deepcopy(pod))).to_string()
    return {"uid": review["request"]["uid"], "allowed": True, "patch": base64.b64encode(operations.encode()).decode()}


def test_the_reviews_differ_and_are_the_same_in_every_run() -> None:
    bodies = [encoded(review) for review in reviews()]
    assert len(set(bodies)) == 64
    assert all(11_000 < len(body) < 12_000 for body in bodies)
    assert bodies == [encoded(review) for review in reviews()]


@pytest.mark.parametrize(("containers", "size"), [(1, 10_000), (3, 100_000), (50, 1_500_000)])
def test_a_review_has_the_requested_containers_and_size(containers: int, size: int) -> None:
    review = review_of_size(containers, size)
    assert len(review["request"]["object"]["spec"]["containers"]) == containers
    assert size <= len(encoded(review)) < size + 200


def test_unlike_reviews_differ_only_in_what_decisions_depend_on(review: Review) -> None:
    first, second = (with_own_template(encoded(review), number) for number in (1, 2))
    assert first != second
    assert len(first) == len(second) == len(encoded(review))
    one, other = (json.loads(body)["request"]["object"] for body in (first, second))
    assert one["metadata"]["annotations"] != other["metadata"]["annotations"]
    workers = [pod["spec"]["containers"][0] for pod in (one, other)]
    assert workers[0].pop("name") != workers[1].pop("name")
    assert workers[0].pop("args") != workers[1].pop("args")
    assert one["spec"] == other["spec"]


def test_a_right_response_passes_the_check(review: Review, response: dict[str, Any]) -> None:
    verification.check("protects", review, response)


@pytest.mark.parametrize("number", range(len(COMMANDS)))
def test_the_core_responds_correctly_to_each_command(number: int) -> None:
    review = reviews(len(COMMANDS))[number]
    verification.check("protects", review, json.loads(core(encoded(review)))["response"])


@pytest.mark.parametrize("change", [{"uid": "another"}, {"allowed": False}, {"patch": "W10="}])
def test_a_wrong_response_is_detected(review: Review, response: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(verification.WrongAnswer):
        verification.check("protects", review, response | change)


def test_a_patch_that_removes_something_is_detected(review: Review, response: dict[str, Any]) -> None:
    operations = json.loads(base64.b64decode(response["patch"]))
    operations.append({"op": "remove", "path": "/spec/containers/1/env"})
    patch = base64.b64encode(json.dumps(operations).encode()).decode()
    with pytest.raises(verification.WrongAnswer):
        verification.check("protects", review, response | {"patch": patch})


def test_goals_without_a_measurement_are_left_out() -> None:
    startup = {"seconds": [0.5, 0.8, 0.6], "imports": {}}
    (goal,) = goals({"startup": startup})
    assert (goal.reached, goal.is_met) == (600, True)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (1234.5, "1234"), (12.34, "12.3"), (10, "10"), (1.5, "1.5"), (0.0123, "0.012")]
)
def test_a_number_is_shown_with_three_significant_digits(value: float, text: str) -> None:
    assert number(value) == text


class Pieces:
    """A fake connection on which the response arrives in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def sendall(self, data: bytes) -> None:
        pass

    def recv(self, most: int) -> bytes:
        return self._pieces.pop(0)


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12", b"345"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n2", b"\r\n4", b"5\r\n0\r\n\r", b"\n"),
    ],
)
def test_a_response_that_arrives_in_pieces_is_read_completely(pieces: tuple[bytes, ...]) -> None:
    assert send(cast(ssl.SSLSocket, Pieces(*pieces)), b"") == b"12345"


def test_a_comparison_with_other_webhooks_has_a_goal_for_each_kind_of_pod() -> None:
    rows = [("graceful_worker", "alike", 6000), ("graceful_worker", "unlike", 2000)]
    rows += [("mine", "alike", 1000), ("mine", "unlike", 1000), ("slower", "alike", 500)]
    runs = [
        {"contender": name, "connections": 8, "likeness": kind, "per_second": speed, "resident": 1, "p99": 1, "p999": 1}
        for name, kind, speed in rows
    ]
    contenders = [{"name": name, "is_from_command_line": name != "graceful_worker"} for name, _, _ in rows]
    found = {goal.what: goal for goal in goals({"comparison": {"runs": runs, "contenders": contenders}})}
    alike, unlike = (goal for what, goal in found.items() if "other webhook" in what or "never seen" in what)
    assert (alike.reached, alike.is_met, unlike.reached, unlike.is_met) == (6, True, 2, False)


def test_the_bytes_added_to_a_pod_meet_the_goals() -> None:
    found = goals({"size": measure_added_bytes()})
    assert len(found) == 2
    assert [goal for goal in found if not goal.is_met] == []
