"""The metrics: reviews by outcome and reason, with their duration."""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Info, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from certs.metrics import CertificateMetrics
from webhook import __version__
from webhook.core.reasons import Kind, Reason
from webhook.server.load_shedding import LoadShedder

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Seconds: a review takes well under a millisecond, and the API server waits for a slow one."""


class Series:
    """The counters of reviews with the same outcome and reason."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        """Reviews per bucket, not cumulated."""
        self.seconds = 0.0


class Metrics(Collector):
    """The metrics of one server; no label has values from requests, so the number of series is bounded.

    Uses plain numbers: the library's counters and histograms lock each update, which takes 2 µs more per review.
    """

    def __init__(self, certificate_metrics: CertificateMetrics, shedder: LoadShedder | None = None) -> None:
        self._certificate_metrics = certificate_metrics
        self._shedder = shedder
        # Exists from the start, so that an alert sees the first one: `increase` needs a value before it.
        defect = Reason.DEFECT.kind.value, Reason.DEFECT.value, False
        self._reviews: defaultdict[tuple[str, str, bool], Series] = defaultdict(Series, {defect: Series()})
        self._evictions: Counter[tuple[str, str, bool]] = Counter()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        Info("graceful_worker_build", "The running version.", registry=self._registry).info(
            {"version": __version__, "python": platform.python_version()}
        )

    def observe(self, reason: Reason, *, outcome: Kind, dry_run: bool, seconds: float) -> None:
        """Count one review."""
        series = self._reviews[outcome.value, reason.value, dry_run]
        series.seconds += seconds
        series.buckets[bisect_left(BUCKETS, seconds)] += 1

    def observe_eviction(self, reason: Reason, *, by: str, dry_run: bool) -> None:
        """Count an eviction by the kind of user that requested it."""
        self._evictions[reason.value, by, dry_run] += 1

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as of now."""
        yield from _certificate_metrics(self._certificate_metrics)
        if self._shedder is not None:
            yield from _load_metrics(self._shedder)
        yield from self._review_metrics()
        evictions = CounterMetricFamily(
            "graceful_worker_evictions", "Processed evictions.", labels=("reason", "by", "dry_run")
        )
        for (reason, by, dry_run), count in self._evictions.items():
            evictions.add_metric((reason, by, "true" if dry_run else "false"), count)
        yield evictions

    def _review_metrics(self) -> Iterator[Metric]:
        names = ("outcome", "reason", "dry_run")
        reviews = CounterMetricFamily("graceful_worker_reviews", "Answered admission reviews.", labels=names)
        times = HistogramMetricFamily(
            "graceful_worker_review_seconds", "Time from the complete request to the response.", labels=names
        )
        for (outcome, reason, dry_run), series in self._reviews.items():
            labels = (outcome, reason, "true" if dry_run else "false")
            counts = list(accumulate(series.buckets))
            bounds = (*map(floatToGoString, BUCKETS), "+Inf")
            reviews.add_metric(labels, counts[-1])
            times.add_metric(labels, list(zip(bounds, counts, strict=True)), series.seconds)
        yield reviews
        yield times


def _certificate_metrics(certificates: CertificateMetrics) -> Iterator[Metric]:
    """Return the state of the certificates; without a certificate, there is no expiry."""
    for name, what, ends in (
        ("leaf", "served certificate", certificates.leaf_expiry),
        ("ca", "CA", certificates.ca_expiry),
    ):
        gauge = GaugeMetricFamily(f"graceful_worker_{name}_expiry_timestamp_seconds", f"Expiry time of the {what}.")
        if ends is not None:
            gauge.add_metric([], ends.timestamp())
        yield gauge
    skew = GaugeMetricFamily(
        "graceful_worker_clock_skew_seconds", "How far the local clock is ahead of the API server's."
    )
    if certificates.clock_skew is not None:
        skew.add_metric([], certificates.clock_skew)
    yield skew
    yield GaugeMetricFamily(
        "graceful_worker_certificate_care",
        "1 while certificates are managed, 0 after that has stopped.",
        float(certificates.is_managed),
    )
    for name, what, count in (
        ("ca_rotations", "CA rotations by this replica.", certificates.rotations),
        (
            "bundle_healings",
            "CA bundles changed by other clients and restored by this replica.",
            certificates.healings,
        ),
        ("certificate_failures", "Failed attempts to manage the certificates.", certificates.failures),
    ):
        yield CounterMetricFamily(f"graceful_worker_{name}", what, value=count)


def _load_metrics(load: LoadShedder) -> Iterator[Metric]:
    """Return the load, and what was dropped."""
    yield GaugeMetricFamily("graceful_worker_connections", "Open connections.", value=len(load))
    yield GaugeMetricFamily(
        "graceful_worker_held_bytes", "Bytes of pending requests and unsent responses.", load.held_bytes
    )
    yield CounterMetricFamily(
        "graceful_worker_dropped_connections",
        "Connections dropped because there were too many.",
        value=load.dropped,
    )
