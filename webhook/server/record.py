"""The record of reviews, in metrics and log: made of many at once, a moment after they were answered."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from contextlib import suppress
from typing import NamedTuple

import msgspec

from webhook.server.logs import LOGGER, clip
from webhook.server.metrics import Metrics
from webhook.server.review import Request, Verdict

MOST_SECONDS = 0.05
"""How long a review may wait for its record."""
MOST_REVIEWS = 64
"""Reviews that are recorded at once: more of them would hold up the next answer by more than 0.2 ms."""


class Reviewed(NamedTuple):
    """A review that was answered, when (seconds since 1970), and in how many seconds."""

    at: float
    uid: str
    namespace: str
    pod_name: str
    dry_run: bool
    verdict: Verdict
    seconds: float


class Record:
    """Counts reviews and writes a line for each.

    Many at once, because all of this is in the processor's caches then (a whole review takes 98 µs of CPU in place of
    104), and not by the logging module, which takes 8 µs for a line in place of 2.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = logging.getLogger(LOGGER)
        self._waiting: list[Reviewed] = []
        self._lines = _Lines()

    def add(self, request: Request, verdict: Verdict, seconds: float) -> None:
        """Record a review soon."""
        waiting = self._waiting
        waiting.append(
            Reviewed(time.time(), request.uid, request.namespace, request.pod_name, request.dry_run, verdict, seconds)
        )
        if len(waiting) == 1:
            asyncio.get_running_loop().call_later(MOST_SECONDS, self.complete)
        elif len(waiting) >= MOST_REVIEWS:
            self.complete()

    def complete(self) -> None:
        """Record what has not been so far."""
        waiting, self._waiting = self._waiting, []
        for review in waiting:
            verdict = review.verdict
            self._metrics.observe(
                verdict.reason, outcome=verdict.outcome, dry_run=review.dry_run, seconds=review.seconds
            )
        if waiting and self._log.isEnabledFor(logging.INFO):
            # A log that nobody takes is no reason to refuse a pod; the logging module passes over it, too.
            with suppress(OSError, ValueError):
                sys.stdout.buffer.write(b"".join(map(self._lines.line, waiting)))
                sys.stdout.buffer.flush()


class _Line(msgspec.Struct):
    time: str
    level: str
    message: str
    uid: str
    namespace: str
    generate_name: str = msgspec.field(name="generateName")
    outcome: str
    reason: str
    dry_run: bool = msgspec.field(name="dryRun")
    ms: float


class _Lines:
    """Writes lines in the form of all others in the log."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._second = 0
        self._until_second = ""

    def line(self, review: Reviewed) -> bytes:
        reason = review.verdict.reason
        line = _Line(
            self._time(review.at),
            "info",
            "review",
            clip(review.uid),
            clip(review.namespace),
            clip(review.pod_name),
            review.verdict.outcome.value,
            reason.value,
            review.dry_run,
            round(review.seconds * 1000, 3),
        )
        return self._encode(line) + b"\n"

    def _time(self, at: float) -> str:
        second = int(at)
        if second != self._second:
            self._second = second
            self._until_second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._until_second}.{int((at - second) * 1000):03d}Z"
