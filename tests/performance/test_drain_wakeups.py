"""A drain that waits costs the node nothing: no process that is added to a pod wakes up."""

from __future__ import annotations

import pytest

from benchmarks.drain_wakeups import KINDS, count_wake_ups, draining
from tests.node.runtime import refusal

WINDOW = 6.0
"""Seconds: longer than any pause in the scripts, so that one that looks again and again is seen."""
TRIES = 10
"""On a busy machine, what the hooks do at first takes more than one of these."""


@pytest.mark.timeout(180)
def test_a_drain_wakes_nobody_up_while_it_waits() -> None:
    if refusal():
        pytest.skip(refusal())
    # These look at their children, because some programs wait for all of them before they exit.
    looking = "worker as it was, with a child"
    with draining() as pods:
        for _ in range(TRIES):
            counted = count_wake_ups(pods, WINDOW)
            waking = {kind for kind in KINDS if any(row["wake_ups"] for row in counted[kind].values())}
            if waking == {looking}:
                break
    assert waking == {looking}
    assert all(counted[kind].keys() == {"worker", "sidecar"} for kind in KINDS), "a process of ours is not counted"
