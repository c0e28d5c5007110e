"""Which drains the tracker finds in the changes of pods: each stream is a file.

`changes` has the changes from the API server: `add`, `change` and `delete` with the arguments of pods.pod, `list` with
several of these, and `relist` with the names in a new list. `events` has a line for each drain that starts or ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.drains.pods import START, pod
from webhook.drains.reflector import PodsListed
from webhook.drains.tracker import DrainEvent, DrainStarted, Tracker

FOLDER = Path(__file__).with_name("streams")
STREAMS = {path.stem: YAML(typ="safe").load(path) for path in sorted(FOLDER.glob("*.yaml"))}


def describe(event: DrainEvent) -> str:
    drain = event.pod
    if isinstance(event, DrainStarted):
        start = (drain.deleted_at - START).total_seconds()
        return f"{drain.name} of {drain.owner} begins at {start:g}: {event.cause}, {drain.period} s"
    result = event.result
    parts = [f"{drain.name} {result.outcome.value}"]
    parts += [] if result.seconds is None else [f"after {result.seconds:g} s"]
    parts += [] if result.sidecar_seconds is None else [f"sidecars {result.sidecar_seconds:g} s later"]
    return ", ".join([*parts, event.cause])


def events(tracker: Tracker, step: dict[str, Any]) -> Iterator[DrainEvent]:
    ((kind, given),) = step.items()
    if kind == "list":
        yield from tracker.apply(PodsListed([pod(**each) for each in given]))
    elif kind == "relist":
        yield from tracker.replace([f"uid-of-{name}" for name in given])
    elif kind == "delete":
        yield from tracker.delete(pod(**given))
    else:
        yield from tracker.update(pod(**given))


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_has_exactly_the_drains_of_the_file(name: str) -> None:
    stream = STREAMS[name]
    tracker = Tracker()
    found = [describe(event) for step in stream["changes"] for event in events(tracker, step)]
    assert found == stream["events"]
    assert [drain.pod.name for drain in tracker.draining.values()] == stream.get("draining", [])
