"""Records reviews in metrics and log, in batches shortly after they were answered."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import NamedTuple

import msgspec

from webhook.core.reasons import Finding, Reason
from webhook.server.admission_review import EvictionRequest, Request, Verdict
from webhook.server.json_log import FIELDS, LOG_WRITER, LOGGER, timestamp, truncate
from webhook.server.metrics import Metrics

FLUSH_SECONDS = 0.05
"""Maximum delay of a record."""
BATCH_SIZE = 64
"""Batch size: a larger batch would delay the next response by more than 0.2 ms."""


_USER_KINDS = (("system:serviceaccount:", "service-account"), ("system:node:", "node"), ("system:", "component"))


class ReviewRecord(NamedTuple):
    """An answered review, with its time (seconds since 1970) and duration in seconds."""

    at: float
    uid: str
    namespace: str
    pod_name: str
    dry_run: bool
    verdict: Verdict
    seconds: float


class Telemetry:
    """Counts reviews and logs a line for each.

    Batches keep the code in the processor's caches (98 µs of CPU per review instead of 104). The logging module is not
    used because it takes 8 µs per line instead of 2.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = logging.getLogger(LOGGER)
        self._pending: list[ReviewRecord] = []

    def record_review(self, request: Request, verdict: Verdict, seconds: float) -> None:
        """Record a review soon."""
        record = ReviewRecord(
            time.time(), request.uid, request.namespace, request.pod_name, request.dry_run, verdict, seconds
        )
        self._pending.append(record)
        if len(self._pending) == 1:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        elif len(self._pending) >= BATCH_SIZE:
            self.flush()

    def record_eviction(self, request: EvictionRequest, finding: Finding) -> None:
        """Record the user and decision of an eviction; its review is recorded separately."""
        by = user_kind(request.user.username)
        self._metrics.observe_eviction(finding.reason, by=by, dry_run=request.dry_run)
        fields = {
            "namespace": truncate(request.namespace),
            "pod": truncate(request.name),
            "by": truncate(request.user.username),
            "reason": finding.reason.value,
            "detail": finding.detail,
            "dryRun": request.dry_run,
        }
        self._log.info("eviction", extra={FIELDS: fields})

    def record_rejection(self, reason: Reason, seconds: float) -> None:
        """Record a request without a verdict immediately; these are rare."""
        self._metrics.observe(reason, outcome=reason.kind, dry_run=False, seconds=seconds)
        fields = {"outcome": reason.kind.value, "reason": reason.value, "ms": round(seconds * 1000, 3)}
        self._log.warning("rejected", extra={FIELDS: fields})

    def flush(self) -> None:
        """Record everything that is pending."""
        pending, self._pending = self._pending, []
        for review in pending:
            verdict = review.verdict
            self._metrics.observe(
                verdict.reason, outcome=verdict.outcome, dry_run=review.dry_run, seconds=review.seconds
            )
        if pending and self._log.isEnabledFor(logging.INFO):
            LOG_WRITER.write(b"".join(map(_encode_line, pending)))


def user_kind(user: str) -> str:
    """Return the kind of a user name: the number of names is unbounded.

    https://kubernetes.io/docs/reference/access-authn-authz/authentication/
    """
    return next((kind for prefix, kind in _USER_KINDS if user.startswith(prefix)), "user")


_ENCODER = msgspec.json.Encoder()


def _encode_line(review: ReviewRecord) -> bytes:
    """Write a line in the log's usual format."""
    line = {
        "time": timestamp(review.at),
        "level": "info",
        "message": "review",
        "uid": truncate(review.uid),
        "namespace": truncate(review.namespace),
        "generateName": truncate(review.pod_name),
        "outcome": review.verdict.outcome.value,
        "reason": review.verdict.reason.value,
        "dryRun": review.dry_run,
        "ms": round(review.seconds * 1000, 3),
    }
    return _ENCODER.encode(line) + b"\n"
