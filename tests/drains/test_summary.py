"""What `--wait` says when all is over, or the time is: each wait is a file with what was seen, words and exit code."""

from __future__ import annotations

import pytest

from tests.drains.cases import cases, happened, targets_of
from tests.drains.pods import pod
from webhook.drains.reflector import PodDeleted, PodsListed, PodUpdated
from webhook.drains.selected_drains import SelectedDrains
from webhook.drains.summary import DrainSummary

WAITS = cases("waits")


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_ends_as_its_file_says(name: str) -> None:
    case = WAITS[name]
    selected, summary = SelectedDrains([""], targets_of(case)), DrainSummary()
    for step in case["changes"]:
        for event in happened(selected, step):
            summary.add(event)
    assert list(summary.lines(selected.draining)) == case["lines"]
    assert summary.exit_code == case["code"]


def test_pods_that_were_asked_for_beside_the_watch_begin_once() -> None:
    selected = SelectedDrains([""])
    list(selected.apply("", PodsListed([])))
    draining = pod("a", deleted=0)
    assert [event.pod.name for event in selected.apply_list("", [pod("b"), draining], ended_uids=())] == ["a"]
    assert list(selected.apply("", PodUpdated(draining))) == []
    assert not selected.is_idle


def test_pods_that_were_asked_for_beside_a_watch_that_has_seen_their_end_do_not_begin_anew() -> None:
    selected, summary = SelectedDrains([""]), DrainSummary()
    list(selected.apply("", PodsListed([])))
    for event in selected.apply("", PodDeleted(pod("a", deleted=0, ends={"worker": {"at": 1}}))):
        summary.add(event)
    assert list(selected.apply_list("", [pod("a", deleted=0)], summary.ended_uids)) == []
    assert selected.is_idle
