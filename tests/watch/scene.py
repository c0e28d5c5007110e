"""A watch without an API server: a test supplies the changes of pods, and advances the clock."""

from __future__ import annotations

import datetime
from typing import Any

from tests.drains.pods import START, pod
from webhook.drains.reflector import PodChange, PodDeleted, PodsListed, PodUpdated
from webhook.drains.tracker import Tracker
from webhook.watch.event_aggregator import EventAggregator
from webhook.watch.event_writer import event_object
from webhook.watch.handlers import DrainHandler, UnprotectedPodHandler
from webhook.watch.metrics import DrainCollector, Metrics
from webhook.watch.statistics import DrainStatistics


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


def describe_event(event: dict[str, Any]) -> str:
    owner = event["involvedObject"]
    return f"{owner['kind']} {owner['name']} in {owner['namespace']}, {event['reason']}: {event['message']}"
