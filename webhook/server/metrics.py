"""The metrics: how many reviews, with which outcome and reason, in how much time."""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Info, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from certs.events import Events
from webhook import __version__
from webhook.core.reasons import Kind, Reason
from webhook.server.load_shedding import LoadShedding

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Seconds: a review takes well under a millisecond, and a slow one is one that the API server waits for."""


class CertificateCollector(Collector):
    """Shows what has happened to the certificates, as it stands when it is asked for."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def collect(self) -> Iterator[Metric]:
        """Return the metrics; a certificate that there is not has no expiry."""
        events = self._events
        for name, what, ends in (("leaf", "served certificate", events.leaf_ends), ("ca", "CA", events.ca_ends)):
            gauge = GaugeMetricFamily(f"graceful_worker_{name}_expiry_timestamp_seconds", f"When the {what} expires.")
            if ends is not None:
                gauge.add_metric([], ends.timestamp())
            yield gauge
        skew = GaugeMetricFamily(
            "graceful_worker_clock_skew_seconds", "By how much the own clock is ahead of the API server's."
        )
        if events.clock_skew is not None:
            skew.add_metric([], events.clock_skew)
        yield skew
        yield GaugeMetricFamily(
            "graceful_worker_certificate_care",
            "1 while somebody looks after the certificates, 0 when that has ended.",
            float(events.is_cared_for),
        )
        for name, what, count in (
            ("ca_rotations", "CAs that took another one's place, by this replica.", events.rotations),
            ("bundle_healings", "Bundles that others had changed and this replica put right.", events.healings),
            ("certificate_failures", "Failed attempts to look after the certificates.", events.failures),
        ):
            yield CounterMetricFamily(f"graceful_worker_{name}", what, value=count)


class LoadCollector(Collector):
    """Shows what is on its way, and what was dropped."""

    def __init__(self, shedding: LoadShedding) -> None:
        self._shedding = shedding

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        load = self._shedding
        yield GaugeMetricFamily("graceful_worker_connections", "Connections that are open.", value=len(load))
        yield GaugeMetricFamily(
            "graceful_worker_held_bytes", "Bytes of requests not answered, and of answers not sent.", load.held_bytes
        )
        yield CounterMetricFamily(
            "graceful_worker_dropped_connections", "Connections dropped, as there were too many.", value=load.dropped
        )


class Series:
    """What is counted of reviews with one outcome and reason."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        """Reviews that took at most as long as the bucket says, and longer than the one before."""
        self.seconds = 0.0


class ReviewCollector(Collector):
    """Counts reviews, and shows the counts when it is asked for them.

    Plain numbers: the library's own counters and histograms hold a lock for each, and took 2 µs more for each review.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, bool], Series] = {}
        # There from the start, so that an alert sees the first one: `increase` needs a value before it.
        self._series[Reason.DEFECT.kind.value, Reason.DEFECT.value, False] = Series()

    def observe(self, outcome: str, reason: str, dry_run: bool, seconds: float) -> None:
        """Count one review."""
        series = self._series.get((outcome, reason, dry_run))
        if series is None:
            series = self._series[outcome, reason, dry_run] = Series()
        series.seconds += seconds
        series.buckets[bisect_left(BUCKETS, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        names = ("outcome", "reason", "dry_run")
        reviews = CounterMetricFamily("graceful_worker_reviews", "Admission reviews answered.", labels=names)
        times = HistogramMetricFamily(
            "graceful_worker_review_seconds", "Time from the complete request to its answer.", labels=names
        )
        for (outcome, reason, dry_run), series in self._series.items():
            labels = (outcome, reason, "true" if dry_run else "false")
            counts = list(accumulate(series.buckets))
            bounds = (*map(floatToGoString, BUCKETS), "+Inf")
            reviews.add_metric(labels, counts[-1])
            times.add_metric(labels, list(zip(bounds, counts, strict=True)), series.seconds)
        yield reviews
        yield times


class EvictionCollector(Collector):
    """Counts evictions by what was decided and by what kind of user has asked."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, bool]] = Counter()

    def observe(self, reason: str, by: str, dry_run: bool) -> None:
        """Count one."""
        self._counts[reason, by, dry_run] += 1

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        evictions = CounterMetricFamily(
            "graceful_worker_evictions", "Evictions looked at.", labels=("reason", "by", "dry_run")
        )
        for (reason, by, dry_run), count in self._counts.items():
            evictions.add_metric((reason, by, "true" if dry_run else "false"), count)
        yield evictions


class Metrics:
    """The metrics of one server; no label takes its values from a request, so their number stays bounded."""

    def __init__(self, events: Events, shedding: LoadShedding | None = None) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(CertificateCollector(events))
        if shedding is not None:
            self._registry.register(LoadCollector(shedding))
        self._reviews = ReviewCollector()
        self._registry.register(self._reviews)
        self._evictions = EvictionCollector()
        self._registry.register(self._evictions)
        Info("graceful_worker_build", "The running version.", registry=self._registry).info(
            {"version": __version__, "python": platform.python_version()}
        )

    def observe(self, reason: Reason, *, outcome: Kind, dry_run: bool, seconds: float) -> None:
        """Count one review."""
        self._reviews.observe(outcome.value, reason.value, dry_run, seconds)

    def observe_eviction(self, reason: Reason, *, by: str, dry_run: bool) -> None:
        """Count one eviction, by the kind of user who has asked for it."""
        self._evictions.observe(reason.value, by, dry_run)

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)
