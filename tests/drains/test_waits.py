"""What `--wait` says when all is over, or the time is: each wait is a file with what was seen, words and exit code."""

from __future__ import annotations

import pytest

from tests.drains.cases import cases, happened, targets_of
from tests.drains.pods import pod
from webhook.drains.picture import Picture
from webhook.drains.reflector import PodDeleted, PodsListed, PodUpdated
from webhook.drains.tally import Tally

WAITS = cases("waits")


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_ends_as_its_file_says(name: str) -> None:
    case = WAITS[name]
    picture, tally = Picture([""], targets_of(case)), Tally()
    for step in case["seen"]:
        for event in happened(picture, step):
            tally.add(event)
    assert list(tally.lines(picture.draining)) == case["lines"]
    assert tally.exit_code == case["code"]


def test_pods_that_were_asked_for_beside_the_watch_begin_once() -> None:
    picture = Picture([""])
    list(picture.take("", PodsListed([])))
    draining = pod("a", deleted=0)
    assert [event.pod.name for event in picture.take_also("", [pod("b"), draining], over=())] == ["a"]
    assert list(picture.take("", PodUpdated(draining))) == []
    assert not picture.is_quiet


def test_pods_that_were_asked_for_beside_a_watch_that_has_seen_their_end_do_not_begin_anew() -> None:
    picture, tally = Picture([""]), Tally()
    list(picture.take("", PodsListed([])))
    for event in picture.take("", PodDeleted(pod("a", deleted=0, ends={"worker": {"at": 1}}))):
        tally.add(event)
    assert list(picture.take_also("", [pod("a", deleted=0)], tally.over)) == []
    assert picture.is_quiet
