"""What `--wait` prints when the drains have ended or time is up: each case is a file with changes, lines, exit code."""

from __future__ import annotations

import pytest

from tests.drains.cases import apply_step, cases, targets_of
from tests.drains.pods import pod
from webhook.drains.reflector import PodDeleted, PodsListed, PodUpdated
from webhook.drains.selected_drains import SelectedDrains
from webhook.drains.summary import DrainSummary

WAITS = cases("waits")


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_ends_with_the_lines_and_the_exit_code_of_the_file(name: str) -> None:
    case = WAITS[name]
    selected, summary = SelectedDrains([""], targets_of(case)), DrainSummary()
    for step in case["changes"]:
        for event in apply_step(selected, step):
            summary.add(event)
    assert list(summary.lines(selected.draining)) == case["lines"]
    assert summary.exit_code == case["code"]


def test_a_drain_that_both_a_separate_list_and_the_watch_report_starts_once() -> None:
    selected = SelectedDrains([""])
    list(selected.apply("", PodsListed([])))
    draining = pod("a", deleted=0)
    assert [event.pod.name for event in selected.apply_list("", [pod("b"), draining], ended_uids=())] == ["a"]
    assert list(selected.apply("", PodUpdated(draining))) == []
    assert not selected.is_idle


def test_a_separate_list_does_not_restart_a_drain_whose_end_the_watch_has_seen() -> None:
    selected, summary = SelectedDrains([""]), DrainSummary()
    list(selected.apply("", PodsListed([])))
    for event in selected.apply("", PodDeleted(pod("a", deleted=0, ends={"worker": {"at": 1}}))):
        summary.add(event)
    assert list(selected.apply_list("", [pod("a", deleted=0)], summary.ended_uids)) == []
    assert selected.is_idle
