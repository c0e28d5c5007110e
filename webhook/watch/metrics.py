"""The metrics of the watch, computed on demand."""

from __future__ import annotations

import datetime
import math
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec.structs import astuple
from prometheus_client import CollectorRegistry, Info, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from webhook import __version__
from webhook.drains.health import WatchHealth
from webhook.drains.tracker import Tracker
from webhook.watch.event_aggregator import EventAggregator
from webhook.watch.statistics import DrainStatistics, Histogram
from webhook.watch.workloads import LABELS, Workload

OVERDUE = datetime.timedelta(seconds=30)
"""Tolerance after the deadline: kubelets take a moment, and clocks differ."""
CACHE_SECONDS = 1.0


class DrainCollector(Collector):
    """Exposes the drains in progress and those that have ended."""

    def __init__(self, tracker: Tracker, statistics: DrainStatistics, now: Callable[[], datetime.datetime]) -> None:
        self._tracker = tracker
        self._statistics = statistics
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        yield from self._running()
        yield from self._ended()
        for name, what, of in (
            ("drain_seconds", "Time from a pod's deletion to the end of its last worker.", "seconds"),
            ("drain_period_used_ratio", "Used share of the grace period, for drains that ended in time.", "used"),
            ("sidecar_seconds", "Time from the end of the last worker to the end of the last sidecar.", "sidecars"),
        ):
            yield self._histogram(f"graceful_worker_{name}", what, of)

    def _running(self) -> Iterator[Metric]:
        now = self._now()
        running: Counter[Workload] = Counter()
        overdue: Counter[Workload] = Counter()
        for drain in self._tracker.draining.values():
            workload = self._statistics.workload_of(drain.pod)
            running[workload] += 1
            overdue[workload] += drain.pod.deadline + OVERDUE < now
        for name, what, counts in (
            ("drains_running", "Pods that are draining.", running),
            ("drains_overdue", "Pods that still exist 30 s after their deadline.", overdue),
        ):
            gauge = GaugeMetricFamily(f"graceful_worker_{name}", what, labels=LABELS)
            for workload, _ in self._statistics.workloads:
                gauge.add_metric(astuple(workload), counts[workload])
            yield gauge

    def _ended(self) -> Iterator[Metric]:
        by_end = ("outcome", "cause", *LABELS)
        ends = CounterMetricFamily("graceful_worker_drains", "Drains that have ended.", labels=by_end)
        longest = _gauge("longest_seconds", "The longest drain observed.")
        in_time = _gauge("longest_in_time_seconds", "The longest drain seen that ended before its time was over.")
        grace = _gauge("grace_period_seconds", "The grace period of the last pod observed.")
        killed = _gauge(
            "killed_after_seconds", "The longest time that a worker had that was killed at its end.", labels=by_end
        )
        for workload, statistics in self._statistics.workloads:
            for (outcome, cause), count in statistics.counts.items():
                ends.add_metric((outcome, cause, *astuple(workload)), count)
            for (outcome, cause), seconds in statistics.killed_after.items():
                killed.add_metric((outcome, cause, *astuple(workload)), seconds)
            grace.add_metric(astuple(workload), statistics.grace)
            if statistics.longest is not None:
                longest.add_metric(astuple(workload), statistics.longest)
            if statistics.longest_in_time is not None:
                in_time.add_metric(astuple(workload), statistics.longest_in_time)
        yield from (ends, longest, in_time, killed, grace)

    def _histogram(self, name: str, what: str, of: str) -> Metric:
        family = HistogramMetricFamily(name, what, labels=LABELS)
        for workload, statistics in self._statistics.workloads:
            histogram: Histogram = getattr(statistics, of)
            bounds, counts = zip(*histogram.buckets, strict=True)
            # Series without a count are left out, except the one used by an alert.
            if counts[-1] or of == "used":
                buckets = list(zip(map(floatToGoString, bounds), counts, strict=True))
                family.add_metric(astuple(workload), buckets, histogram.sum)
        return family


class WatchCollector(Collector):
    """Exposes the state of the watch itself."""

    def __init__(
        self,
        tracker: Tracker,
        watches: Mapping[str, WatchHealth],
        aggregator: EventAggregator,
        start: datetime.datetime,
    ) -> None:
        self._tracker = tracker
        self._start = start
        self._health = watches
        self._aggregator = aggregator

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        yield GaugeMetricFamily(
            "graceful_worker_watch_start_time_seconds",
            "When the watch started to count drains, as Unix time.",
            value=self._start.timestamp(),
        )
        yield GaugeMetricFamily(
            "graceful_worker_watch_pods", "Protected pods that are not terminating.", value=self._tracker.running
        )
        failures = CounterMetricFamily(
            "graceful_worker_watch_failures", "Failed attempts to list or watch pods.", labels=("pods",)
        )
        silence = GaugeMetricFamily(
            "graceful_worker_watch_silence_seconds", "Seconds since the API server last responded.", labels=("pods",)
        )
        for name, health in self._health.items():
            failures.add_metric((name,), health.failures)
            silence.add_metric((name,), health.silence)
        yield from (failures, silence)
        events = CounterMetricFamily("graceful_worker_watch_events", "Events by result.", labels=("result",))
        for result, count in self._aggregator.results.items():
            events.add_metric((result,), count)
        yield events
        yield CounterMetricFamily(
            "graceful_worker_unprotected_pods",
            "Labelled pods created unprotected since the start.",
            value=self._aggregator.unprotected,
        )


class Metrics:
    """The metrics of a watch, computed at most once a second."""

    def __init__(self, *collectors: Collector, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._cached: tuple[float, bytes] = (-math.inf, b"")
        self._registry = CollectorRegistry()
        for collector in collectors:
            self._registry.register(collector)
        # Not under the webhook's name, whose absence tells an alert that no replica is running.
        Info("graceful_worker_watch_build", "The running version.", registry=self._registry).info(
            {"version": __version__, "python": platform.python_version()}
        )

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        at, text = self._cached
        if self._clock() < at + CACHE_SECONDS:
            return text
        text = generate_latest(self._registry)
        self._cached = self._clock(), text
        return text


def _gauge(name: str, what: str, labels: Sequence[str] = LABELS) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"graceful_worker_drain_{name}", what, labels=labels)
