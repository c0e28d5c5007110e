"""How long nothing was heard of the API server, by a clock that the test moves."""

from __future__ import annotations

import pytest

from certs.api_server import ApiServerUnavailable, StatusError
from webhook.drains.connection import REFUSALS, Outage, SessionContact, longest_of
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
def contact(clock: Clock) -> SessionContact:
    contact = SessionContact(clock)
    contact.heard()
    return contact


def test_a_failure_is_an_outage_since_the_last_word(clock: Clock, contact: SessionContact) -> None:
    clock.seconds += 42
    contact.failed(ApiServerUnavailable("connection refused"), "in all namespaces")
    assert contact.outage == Outage(42, "connection refused")
    contact.heard()
    assert contact.outage is None


def test_a_missing_right_is_one_that_names_the_right(contact: SessionContact) -> None:
    contact.failed(StatusError(403, "forbidden", None), "in namespace shop")
    assert contact.outage
    assert "permission missing to list and watch pods in namespace shop" in contact.outage.reason


def test_refusals_that_do_not_end_end_the_session(contact: SessionContact) -> None:
    for _ in range(REFUSALS):
        contact.failed(StatusError(401, "Unauthorized", None), "in all namespaces")
    with pytest.raises(ClusterUnavailable):
        contact.failed(StatusError(401, "Unauthorized", None), "in all namespaces")


def test_a_connection_that_dies_in_silence_is_an_outage_when_a_bookmark_is_long_overdue(
    clock: Clock, contact: SessionContact
) -> None:
    clock.seconds += 100
    assert contact.outage is None
    clock.seconds += 20
    assert contact.outage == Outage(120, "the API server sends nothing")


def test_of_several_the_longest_outage_counts(clock: Clock, contact: SessionContact) -> None:
    other = SessionContact(clock)
    clock.seconds += 5
    other.heard()
    assert longest_of([contact, other]) is None
    other.failed(ApiServerUnavailable("one"), "")
    contact.failed(ApiServerUnavailable("two"), "")
    assert longest_of([other, contact]) == Outage(5, "two")
