"""The metrics: reviews by outcome and reason, with their duration."""

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

from certs.metrics import CertificateMetrics
from webhook import __version__
from webhook.core.reasons import Kind, Reason
from webhook.server.load_shedding import LoadShedder

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Seconds: a review takes well under a millisecond, and the API server waits for a slow one."""


class CertificateCollector(Collector):
    """Exposes the state of the certificates as of the time of collection."""

    def __init__(self, certificate_metrics: CertificateMetrics) -> None:
        self._certificate_metrics = certificate_metrics

    def collect(self) -> Iterator[Metric]:
        """Return the metrics; without a certificate, there is no expiry."""
        certificate_metrics = self._certificate_metrics
        for name, what, ends in (
            ("leaf", "served certificate", certificate_metrics.leaf_expiry),
            ("ca", "CA", certificate_metrics.ca_expiry),
        ):
            gauge = GaugeMetricFamily(f"graceful_worker_{name}_expiry_timestamp_seconds", f"Expiry time of the {what}.")
            if ends is not None:
                gauge.add_metric([], ends.timestamp())
            yield gauge
        skew = GaugeMetricFamily(
            "graceful_worker_clock_skew_seconds", "How far the local clock is ahead of the API server's."
        )
        if certificate_metrics.clock_skew is not None:
            skew.add_metric([], certificate_metrics.clock_skew)
        yield skew
        yield GaugeMetricFamily(
            "graceful_worker_certificate_care",
            "1 while certificates are managed, 0 after that has stopped.",
            float(certificate_metrics.is_managed),
        )
        for name, what, count in (
            ("ca_rotations", "CA rotations by this replica.", certificate_metrics.rotations),
            (
                "bundle_healings",
                "CA bundles changed by other clients and restored by this replica.",
                certificate_metrics.healings,
            ),
            ("certificate_failures", "Failed attempts to manage the certificates.", certificate_metrics.failures),
        ):
            yield CounterMetricFamily(f"graceful_worker_{name}", what, value=count)


class LoadCollector(Collector):
    """Exposes the load, and what was dropped."""

    def __init__(self, shedder: LoadShedder) -> None:
        self._shedder = shedder

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        load = self._shedder
        yield GaugeMetricFamily("graceful_worker_connections", "Open connections.", value=len(load))
        yield GaugeMetricFamily(
            "graceful_worker_held_bytes", "Bytes of pending requests and unsent responses.", load.held_bytes
        )
        yield CounterMetricFamily(
            "graceful_worker_dropped_connections",
            "Connections dropped because there were too many.",
            value=load.dropped,
        )


class Series:
    """The counters of reviews with the same outcome and reason."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        """Reviews per bucket, not cumulated."""
        self.seconds = 0.0


class ReviewCollector(Collector):
    """Counts reviews, and exposes the counts on collection.

    Uses plain numbers: the library's counters and histograms lock each update, which takes 2 µs more per review.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, bool], Series] = {}
        # Exists from the start, so that an alert sees the first one: `increase` needs a value before it.
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
        reviews = CounterMetricFamily("graceful_worker_reviews", "Answered admission reviews.", labels=names)
        times = HistogramMetricFamily(
            "graceful_worker_review_seconds", "Time from the complete request to the response.", labels=names
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
    """Counts evictions by decision and kind of user."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, bool]] = Counter()

    def observe(self, reason: str, by: str, dry_run: bool) -> None:
        """Count one."""
        self._counts[reason, by, dry_run] += 1

    def collect(self) -> Iterator[Metric]:
        """Return the metrics."""
        evictions = CounterMetricFamily(
            "graceful_worker_evictions", "Processed evictions.", labels=("reason", "by", "dry_run")
        )
        for (reason, by, dry_run), count in self._counts.items():
            evictions.add_metric((reason, by, "true" if dry_run else "false"), count)
        yield evictions


class Metrics:
    """The metrics of one server; no label has values from requests, so the number of series is bounded."""

    def __init__(self, certificate_metrics: CertificateMetrics, shedder: LoadShedder | None = None) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(CertificateCollector(certificate_metrics))
        if shedder is not None:
            self._registry.register(LoadCollector(shedder))
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
        """Count an eviction by the kind of user that requested it."""
        self._evictions.observe(reason.value, by, dry_run)

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)
