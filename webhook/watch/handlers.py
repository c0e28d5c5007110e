"""Handles changes of pods: updates metrics, logs, and reports Events."""

from __future__ import annotations

import datetime
import logging
import time
from collections import Counter
from collections.abc import Callable

from webhook.core.errors import Malformed
from webhook.core.pod import JsonObject, read_pod
from webhook.core.select.pods import never_touched
from webhook.drains.outcome import UNSUCCESSFUL
from webhook.drains.reflector import PodChange, PodDeleted, PodsListed
from webhook.drains.tracker import DrainEnded, DrainStarted, Tracker
from webhook.server.json_log import FIELDS, LOGGER
from webhook.watch.event_aggregator import EventAggregator
from webhook.watch.event_messages import event_for_drain, event_for_unprotected_pod
from webhook.watch.statistics import DrainStatistics

MAX_REPORTED = 10_000
"""Maximum number of unprotected pods to remember, so that each is reported once."""


class DrainHandler:
    """Handles changes of protected pods."""

    def __init__(
        self,
        tracker: Tracker,
        statistics: DrainStatistics,
        aggregator: EventAggregator,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tracker = tracker
        self._statistics = statistics
        self._aggregator = aggregator
        self._clock = clock
        self._log = logging.getLogger(LOGGER)
        self._ended: Counter[str] = Counter()
        self.has_listed = False

    def handle(self, change: PodChange) -> None:
        """Handle a change."""
        for event in self._tracker.apply(change):
            if isinstance(event, DrainStarted):
                self._statistics.drain_started(event)
            else:
                self._drain_ended(event)
        self.has_listed = self.has_listed or isinstance(change, PodsListed)

    def log_summary(self) -> None:
        """Log how many drains ended since the last time, and how; nothing if none did."""
        if self._ended:
            self._log.info("drains ended", extra={FIELDS: {**self._ended, "running": len(self._tracker.draining)}})
            self._ended.clear()

    def _drain_ended(self, ended: DrainEnded) -> None:
        self._statistics.drain_ended(ended)
        self._ended[ended.result.outcome.value] += 1
        if ended.result.outcome in UNSUCCESSFUL:
            self._log.warning("a drain ended badly", extra={FIELDS: _fields(ended)})
        if pod_event := event_for_drain(ended):
            self._aggregator.add(pod_event, self._clock())


class UnprotectedPodHandler:
    """Handles labelled but unprotected pods, and reports those created after the start."""

    def __init__(
        self, aggregator: EventAggregator, start: datetime.datetime, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._aggregator = aggregator
        # The API server's times are whole seconds.
        self._start = start.replace(microsecond=0)
        self._clock = clock
        self._reported: dict[str, None] = {}

    def handle(self, change: PodChange) -> None:
        """Handle a change."""
        if isinstance(change, PodDeleted):
            self._reported.pop(change.pod["metadata"]["uid"], None)
            return
        for pod in change.pods if isinstance(change, PodsListed) else (change.pod,):
            if self._is_new(pod["metadata"]) and not _is_exempt(pod):
                if len(self._reported) >= MAX_REPORTED:
                    del self._reported[next(iter(self._reported))]
                self._reported[pod["metadata"]["uid"]] = None
                self._aggregator.unprotected += 1
                self._aggregator.add(event_for_unprotected_pod(pod), self._clock())

    def _is_new(self, metadata: JsonObject) -> bool:
        created = metadata.get("creationTimestamp")
        if not created or metadata.get("deletionTimestamp") or metadata["uid"] in self._reported:
            return False
        return datetime.datetime.fromisoformat(created) >= self._start


def _is_exempt(pod: JsonObject) -> bool:
    """Tell whether the webhook is never called for a pod, or never patches it: docs/concepts/workers.md."""
    try:
        return never_touched(read_pod(pod)) is not None
    except Malformed:
        return False


def _fields(ended: DrainEnded) -> dict[str, object]:
    pod, result = ended.pod, ended.result
    return {
        "namespace": pod.namespace,
        "pod": pod.name,
        "owner": str(pod.owner),
        "node": pod.node,
        "outcome": result.outcome.value,
        "cause": ended.cause,
        "seconds": result.seconds,
        "period": pod.period,
        "grace": pod.grace,
        "sentence": result.outcome.sentence,
    }
