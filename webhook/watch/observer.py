"""Takes changes of pods, and updates metrics, log and notices."""

from __future__ import annotations

import datetime
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable

from webhook.core.pod import JsonObject
from webhook.core.select.workers import CRITICAL_CLASSES
from webhook.drains.following import Change, Gone, Listed
from webhook.drains.kept_fields import MIRROR_ANNOTATION, OS_LABEL
from webhook.drains.outcome import LOST, Outcome
from webhook.drains.tracker import Begun, Ended, Tracker
from webhook.server.json_log import FIELDS, LOGGER
from webhook.watch.advice import notice_of_end, notice_of_unprotected
from webhook.watch.notices import Notices
from webhook.watch.statistics import DrainStatistics

BAD = LOST | {Outcome.FAILED}
"""Outcomes that are logged individually."""
MOST_TOLD = 10_000
"""Maximum number of unprotected pods to remember, so that each is reported once."""


class DrainObserver:
    """Observes protected pods."""

    def __init__(
        self,
        tracker: Tracker,
        statistics: DrainStatistics,
        notices: Notices,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tracker = tracker
        self._statistics = statistics
        self._notices = notices
        self._clock = clock
        self._log = logging.getLogger(LOGGER)
        self._over: Counter[str] = Counter()
        self.has_listed = False

    def take(self, change: Change) -> None:
        """Take a change."""
        if isinstance(change, Listed):
            self._tell(self._tracker.relist([pod["metadata"]["uid"] for pod in change.pods]))
            for pod in change.pods:
                self._tell(self._tracker.see(pod))
            self.has_listed = True
        elif isinstance(change, Gone):
            self._tell(self._tracker.gone(change.pod))
        else:
            self._tell(self._tracker.see(change.pod))

    def summarise(self) -> None:
        """Log how many drains ended since the last time, and how; nothing if none did."""
        if not self._over:
            return
        fields = {**self._over, "running": len(self._tracker.draining)}
        self._log.info("drains ended", extra={FIELDS: fields})
        self._over.clear()

    def _tell(self, events: Iterable[Begun | Ended]) -> None:
        for event in events:
            if isinstance(event, Begun):
                self._statistics.begin(event)
            else:
                self._end(event)

    def _end(self, ended: Ended) -> None:
        self._statistics.end(ended)
        self._over[ended.end.outcome.value] += 1
        if ended.end.outcome in BAD:
            self._log.warning("a drain ended badly", extra={FIELDS: _fields(ended)})
        notice = notice_of_end(ended)
        if notice is not None:
            self._notices.add(notice, self._clock())


class UnprotectedObserver:
    """Observes labelled but unprotected pods, and reports those created after the start."""

    def __init__(self, notices: Notices, start: datetime.datetime, clock: Callable[[], float] = time.monotonic) -> None:
        self._notices = notices
        # The API server's times are whole seconds.
        self._start = start.replace(microsecond=0)
        self._clock = clock
        self._told: dict[str, None] = {}

    def take(self, change: Change) -> None:
        """Take a change."""
        if isinstance(change, Gone):
            self._told.pop(change.pod["metadata"]["uid"], None)
            return
        for pod in change.pods if isinstance(change, Listed) else (change.pod,):
            if self._is_new(pod["metadata"]) and not _is_left_out(pod):
                self._tell(pod)

    def _is_new(self, metadata: JsonObject) -> bool:
        created = metadata.get("creationTimestamp")
        if not created or metadata.get("deletionTimestamp") or metadata["uid"] in self._told:
            return False
        return datetime.datetime.fromisoformat(created) >= self._start

    def _tell(self, pod: JsonObject) -> None:
        if len(self._told) >= MOST_TOLD:
            del self._told[next(iter(self._told))]
        self._told[pod["metadata"]["uid"]] = None
        self._notices.unprotected += 1
        self._notices.add(notice_of_unprotected(pod), self._clock())


def _is_left_out(pod: JsonObject) -> bool:
    """Tell whether the webhook is never called for a pod, or never patches it: docs/concepts/workers.md."""
    spec = pod.get("spec") or {}
    if spec.get("priorityClassName") in CRITICAL_CLASSES or MIRROR_ANNOTATION in (
        pod["metadata"].get("annotations") or {}
    ):
        return True
    systems = (spec.get("os") or {}).get("name"), (spec.get("nodeSelector") or {}).get(OS_LABEL)
    return "windows" in systems


def _fields(ended: Ended) -> dict[str, object]:
    pod, end = ended.pod, ended.end
    return {
        "namespace": pod.namespace,
        "pod": pod.name,
        "owner": str(pod.owner),
        "node": pod.node,
        "outcome": end.outcome.value,
        "cause": ended.cause,
        "seconds": end.seconds,
        "period": pod.period,
        "grace": pod.grace,
        "sentence": end.outcome.sentence,
    }
