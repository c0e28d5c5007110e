"""A waiting drain costs the node nothing: no process that the webhook adds to a pod wakes up."""

from __future__ import annotations

import pytest

from benchmarks.drain_wakeups import KINDS, count_wake_ups, draining
from tests.node.runtime import refusal

WINDOW = 6.0
"""Seconds: longer than any pause in the scripts, so that a script that polls is detected."""
TRIES = 10
"""Number of windows: on a busy machine, the start of the hooks takes more than one."""


@pytest.mark.timeout(180)
def test_a_waiting_drain_wakes_no_process_up() -> None:
    if refusal():
        pytest.skip(refusal())
    # These poll their child processes, because some programs wait for all of theirs before they exit.
    polling = "worker as it was, with a child"
    with draining() as pods:
        for _ in range(TRIES):
            counted = count_wake_ups(pods, WINDOW)
            waking = {kind for kind in KINDS if any(row["wake_ups"] for row in counted[kind].values())}
            if waking == {polling}:
                break
    assert waking == {polling}
    assert all(counted[kind].keys() == {"worker", "sidecar"} for kind in KINDS), "a process of ours is not counted"
