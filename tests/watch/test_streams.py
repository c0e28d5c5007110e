"""What is seen of pods, and what metrics, Events and the log tell of it: each stream is a file.

`seen` is as in tests/drains/test_streams.py, with two more: `wait` lets seconds pass, and `unprotected` is a pod of the
second watch. `metrics` has lines of the exposition, shortened by what all tests have in common; those of a name that is
there are all that there are of it, zeros left out. `events` has all Events, `log` a line for each bad end.
"""

from __future__ import annotations

import datetime
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.drains.pods import START, pod
from webhook.drains.reflector import PodChange, PodDeleted, PodsListed, PodUpdated
from webhook.drains.tracker import Tracker
from webhook.watch.event_aggregator import EventAggregator
from webhook.watch.event_writer import event_object
from webhook.watch.handlers import DrainHandler, UnprotectedPodHandler
from webhook.watch.metrics import DrainCollector, Metrics
from webhook.watch.statistics import DrainStatistics

FOLDER = Path(__file__).with_name("streams")
COMMON = ('framework="celery"', 'mode="signal"', 'namespace="shop"', 'owner="emails"', 'owner_kind="Deployment"')
STREAMS = {path.stem: YAML(typ="safe").load(path) for path in sorted(FOLDER.glob("*.yaml"))}


class Scene:
    """A watch, and its clock."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.tracker, self.aggregator = Tracker(), EventAggregator()
        statistics = DrainStatistics(self.clock)
        self.drains = DrainHandler(self.tracker, statistics, self.aggregator, self.clock)
        self.unprotected = UnprotectedPodHandler(self.aggregator, START, self.clock)
        self.metrics = Metrics(DrainCollector(self.tracker, statistics, self.now))
        self.events: list[dict[str, Any]] = []

    def clock(self) -> float:
        return self.seconds

    def now(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=self.seconds)

    def see(self, kind: str, given: Any) -> None:
        if kind == "wait":
            self.seconds += given
            self.write()
        elif kind == "unprotected":
            self.unprotected.handle(PodUpdated(unprotected(**given)))
        else:
            self.drains.handle(change(kind, given))

    def write(self) -> None:
        self.events += [event_object(aggregated, self.now()) for aggregated in self.aggregator.due(self.seconds)]


def change(kind: str, given: Any) -> PodChange:
    if kind == "relist":
        return PodsListed([pod(**each) for each in given])
    return PodDeleted(pod(**given)) if kind == "delete" else PodUpdated(pod(**given))


def unprotected(created: float, **given: Any) -> dict[str, Any]:
    found = pod(**given, protected=False)
    at = START + datetime.timedelta(seconds=created)
    found["metadata"]["creationTimestamp"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return found


def samples(exposition: str) -> list[str]:
    """Return the samples that are not zero, in short."""
    lines = [line for line in exposition.splitlines() if re.match("graceful_worker_(drain|sidecar)", line)]
    return [shortened(line) for line in lines if not line.endswith(" 0.0")]


def shortened(line: str) -> str:
    """Leave out the prefix, labels that are empty, and those that the pods of tests.drains.pods have by themselves."""
    line = line.removeprefix("graceful_worker_").removesuffix(".0")
    line = re.sub(r'\b\w+=""', "", line)
    for common in COMMON:
        line = line.replace(common, "")
    return re.sub(",+", ",", line).replace("{,", "{").replace(",}", "}").replace("{}", "")


def told(event: dict[str, Any]) -> str:
    owner = event["involvedObject"]
    return f"{owner['kind']} {owner['name']} in {owner['namespace']}, {event['reason']}: {event['message']}"


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_told_as_the_file_says(name: str, caplog: pytest.LogCaptureFixture) -> None:
    stream, scene = STREAMS[name], Scene()
    with caplog.at_level(logging.WARNING, "graceful_worker"):
        for step in stream["seen"]:
            ((kind, given),) = step.items()
            scene.see(kind, given)
    scene.seconds += 10
    scene.write()
    assert [told(event) for event in scene.events] == stream.get("events", [])
    named = {re.split(r"[{ ]", line)[0] for line in stream.get("metrics", [])}
    found = [line for line in samples(scene.metrics.exposition().decode()) if re.split(r"[{ ]", line)[0] in named]
    assert found == stream.get("metrics", [])
    logged = [{key: record.fields[key] for key in ("pod", "outcome", "cause")} for record in caplog.records]  # type: ignore[attr-defined]
    assert logged == stream.get("log", [])
