"""What is seen of pods, and what is told of their drains: each stream is a file.

`seen` has what comes from the API server: `add`, `change` and `delete` with what pods.pod takes, and `relist` with the
names that a new list has. `told` has a line for each drain that begins or ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.drains.pods import START, pod
from webhook.drains.tracker import DrainEvent, DrainStarted, Tracker

FOLDER = Path(__file__).with_name("streams")
STREAMS = {path.stem: YAML(typ="safe").load(path) for path in sorted(FOLDER.glob("*.yaml"))}


def told(event: DrainEvent) -> str:
    drain = event.pod
    if isinstance(event, DrainStarted):
        begun = (drain.deleted_at - START).total_seconds()
        return f"{drain.name} of {drain.owner} begins at {begun:g}: {event.cause}, {drain.period} s"
    end = event.result
    parts = [f"{drain.name} {end.outcome.value}"]
    parts += [] if end.seconds is None else [f"after {end.seconds:g} s"]
    parts += [] if end.sidecar_seconds is None else [f"sidecars {end.sidecar_seconds:g} s later"]
    return ", ".join([*parts, event.cause])


def events(tracker: Tracker, step: dict[str, Any]) -> Iterator[DrainEvent]:
    ((kind, given),) = step.items()
    if kind == "relist":
        yield from tracker.replace([f"uid-of-{name}" for name in given])
    elif kind == "delete":
        yield from tracker.delete(pod(**given))
    else:
        yield from tracker.update(pod(**given))


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_tells_of_drains_what_was_seen_and_no_more(name: str) -> None:
    stream = STREAMS[name]
    tracker = Tracker()
    said = [told(event) for step in stream["seen"] for event in events(tracker, step)]
    assert said == stream["told"]
    assert [drain.pod.name for drain in tracker.draining.values()] == stream.get("draining", [])
