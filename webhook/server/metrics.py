"""The metrics: how many reviews, with which outcome and reason, in how much time."""

from __future__ import annotations

import platform

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from webhook import __version__
from webhook.core.reasons import Kind, Reason

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Seconds: a review takes well under a millisecond, and a slow one is one that the API server waits for."""

# A series with the time of each series' first sample would be twice the series for nothing that is asked for here.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one server; no label takes its values from a request, so their number stays bounded."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
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
        Info("graceful_worker_build", "The running version.", registry=self._registry).info(
            {"version": __version__, "python": platform.python_version()}
        )

    def observe(self, outcome: Kind, reason: Reason, *, dry_run: bool, seconds: float) -> None:
        """Count one review."""
        labels = (outcome.value, reason.value, "true" if dry_run else "false")
        self._reviews.labels(*labels).inc()
        self._seconds.labels(*labels).observe(seconds)

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)
