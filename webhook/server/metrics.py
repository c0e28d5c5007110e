"""The metrics: how many reviews, with which outcome and reason, in how much time."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from certs.events import Events
from webhook import __version__
from webhook.core.reasons import Kind, Reason

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Seconds: a review takes well under a millisecond, and a slow one is one that the API server waits for."""

# A series with the time of each series' first sample would be twice the series for nothing that is asked for here.
disable_created_metrics()  # type: ignore[no-untyped-call]


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
        for name, what, count in (
            ("ca_rotations", "CAs that took another one's place, by this replica.", events.rotations),
            ("bundle_healings", "Bundles that others had changed and this replica put right.", events.healings),
            ("certificate_failures", "Failed attempts to look after the certificates.", events.failures),
        ):
            yield CounterMetricFamily(f"graceful_worker_{name}", what, value=count)


class Metrics:
    """The metrics of one server; no label takes its values from a request, so their number stays bounded."""

    def __init__(self, events: Events) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(CertificateCollector(events))
        labels = ("outcome", "reason", "dry_run")
        self._reviews = Counter(
            "graceful_worker_reviews", "Admission reviews answered.", labels, registry=self._registry
        )
        self._seconds = Histogram(
            "graceful_worker_review_seconds",
            "Time from the complete request to its answer.",
            labels,
            buckets=BUCKETS,
            registry=self._registry,
        )
        # Looked up by the library, the two take 4 µs more for each review.
        self._series: dict[tuple[str, bool], tuple[Counter, Histogram]] = {}
        # There from the start, so that an alert sees the first one: `increase` needs a value before it.
        self._reviews.labels(Reason.DEFECT.kind.value, Reason.DEFECT.value, "false")
        Info("graceful_worker_build", "The running version.", registry=self._registry).info(
            {"version": __version__, "python": platform.python_version()}
        )

    def observe(self, outcome: Kind, reason: Reason, *, dry_run: bool, seconds: float) -> None:
        """Count one review."""
        series = self._series.get((reason.value, dry_run))
        if series is None:
            labels = (outcome.value, reason.value, "true" if dry_run else "false")
            series = self._series[reason.value, dry_run] = self._reviews.labels(*labels), self._seconds.labels(*labels)
        reviews, times = series
        reviews.inc()
        times.observe(seconds)

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)
