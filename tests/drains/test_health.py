"""How long the API server has not responded, by a clock that the test advances."""

from __future__ import annotations

import pytest

from certs.errors import ApiServerUnavailable, StatusError
from webhook.drains.health import MAX_DENIALS, Outage, SessionHealth, longest_outage
from webhook.kubernetes.errors import ClusterUnavailable


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> SessionHealth:
    health = SessionHealth(clock)
    health.record_response()
    return health


def test_a_failure_is_an_outage_since_the_last_response(clock: Clock, health: SessionHealth) -> None:
    clock.seconds += 42
    health.record_failure(ApiServerUnavailable("connection refused"), "in all namespaces")
    assert health.outage == Outage(42, "connection refused")
    health.record_response()
    assert health.outage is None


def test_a_missing_right_is_an_outage_that_names_the_right(health: SessionHealth) -> None:
    health.record_failure(StatusError(403, "forbidden", None), "in namespace shop")
    assert health.outage
    assert "permission missing to list and watch pods in namespace shop" in health.outage.reason


def test_too_many_refusals_end_the_session(health: SessionHealth) -> None:
    for _ in range(MAX_DENIALS):
        health.record_failure(StatusError(401, "Unauthorized", None), "in all namespaces")
    with pytest.raises(ClusterUnavailable):
        health.record_failure(StatusError(401, "Unauthorized", None), "in all namespaces")


def test_a_silent_connection_is_an_outage_once_a_bookmark_is_long_overdue(clock: Clock, health: SessionHealth) -> None:
    clock.seconds += 100
    assert health.outage is None
    clock.seconds += 20
    assert health.outage == Outage(120, "the API server sends nothing")


def test_of_several_outages_the_longest_one_is_reported(clock: Clock, health: SessionHealth) -> None:
    other = SessionHealth(clock)
    clock.seconds += 5
    other.record_response()
    assert longest_outage([health, other]) is None
    other.record_failure(ApiServerUnavailable("one"), "")
    health.record_failure(ApiServerUnavailable("two"), "")
    assert longest_outage([other, health]) == Outage(5, "two")
