"""The statistics of drains."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from webhook.drains.outcome import LOST, Outcome
from webhook.drains.pods import DrainingPod
from webhook.drains.tracker import CAUSES, DrainEnded, DrainStarted
from webhook.watch.workloads import OTHER, Workload, WorkloadMap, workload_of

DRAIN_SECONDS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0)
USED = (0.1, 0.25, 0.5, 0.8, 0.9, 1.0)
KILLS = frozenset({Outcome.KILLED, Outcome.CUT})
"""Outcomes for which the grace period was too short."""
SIDECAR_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class Histogram:
    """A histogram: how many values are at most as large as each bound."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    @property
    def buckets(self) -> Iterator[tuple[float, int]]:
        """The bounds, ending with infinity, and the number of values up to each."""
        return zip((*self._bounds, float("inf")), accumulate(self._counts), strict=True)


class WorkloadStatistics:
    """The statistics of one workload."""

    __slots__ = ("counts", "grace", "killed_after", "longest", "longest_in_time", "seconds", "sidecars", "used")

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        """By outcome and cause."""
        self.seconds = Histogram(DRAIN_SECONDS)
        self.used = Histogram(USED)
        """The used share of the grace period, for drains that ended in time."""
        self.sidecars = Histogram(SIDECAR_SECONDS)
        self.longest: float | None = None
        self.longest_in_time: float | None = None
        """Of the drains that ended before their time was over."""
        self.killed_after: dict[tuple[str, str], int] = {}
        """The longest grace period that was too short, by outcome and cause."""
        self.grace = 0
        """The grace period of the last pod observed."""

    def drain_ended(self, ended: DrainEnded) -> None:
        """Count a drain that has ended."""
        pod, result = ended.pod, ended.result
        key = result.outcome.value, known_cause(ended.cause)
        self.counts[key] += 1
        self.grace = pod.grace
        if result.sidecar_seconds is not None:
            self.sidecars.observe(result.sidecar_seconds)
        if result.seconds is None:
            return
        self.seconds.observe(result.seconds)
        self.longest = max(self.longest or 0.0, result.seconds)
        if not result.effective_period:
            return
        if result.outcome in KILLS:
            self.killed_after[key] = max(self.killed_after.get(key, 0), result.effective_period)
        if result.outcome not in LOST:
            self.used.observe(result.seconds / result.effective_period)
            self.longest_in_time = max(self.longest_in_time or 0.0, result.seconds)


class DrainStatistics:
    """Counts drains by workload."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.workloads: WorkloadMap[WorkloadStatistics] = WorkloadMap(WorkloadStatistics)

    def drain_started(self, started: DrainStarted) -> None:
        """Count a drain that starts."""
        statistics = self.workloads.get_or_add(workload_of(started.pod), self._clock())
        statistics.grace = started.pod.grace
        # Exists before the first one, so that alerts and dashboards see it: `increase` needs a value before it.
        for outcome in Outcome:
            statistics.counts[outcome.value, known_cause(started.cause)] += 0

    def drain_ended(self, ended: DrainEnded) -> None:
        """Count a drain that has ended."""
        self.workloads.get_or_add(workload_of(ended.pod), self._clock()).drain_ended(ended)

    def workload_of(self, pod: DrainingPod) -> Workload:
        """Return the workload as which a pod is counted."""
        return self.workloads.resolve(workload_of(pod))


def known_cause(cause: str) -> str:
    """Return a cause as a label: conditions may have any reason."""
    return cause if cause in CAUSES else OTHER
