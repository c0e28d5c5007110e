"""Aggregates Events by owner and reason, so that a rollout of hundreds of pods is one Event."""

from __future__ import annotations

from collections import Counter

import msgspec

from webhook.core.ownership import Owner

AGGREGATION_SECONDS = 5.0
"""How long to aggregate pods before the first Event of an owner."""
MAX_ENTRIES = 1000
MAX_PER_NAMESPACE = 100
"""Maximum number of owners and reasons, so that one namespace does not displace all others."""


class PodEvent(msgspec.Struct, frozen=True):
    """An Event about a pod, for its owner.

    `text` contains the placeholder {pods}; for `suppress_seconds`, the same Event about the same owner is suppressed.
    """

    namespace: str
    owner: Owner
    owner_uid: str
    pod: str
    pod_uid: str
    reason: str
    text: str
    suppress_seconds: float

    @property
    def key(self) -> tuple[str, Owner, str]:
        """The key by which Events are aggregated."""
        return self.namespace, self.owner, self.reason


class AggregatedEvent(msgspec.Struct, frozen=True):
    """The latest of several equal Events, and their number."""

    pod_event: PodEvent
    count: int

    @property
    def message(self) -> str:
        """The text of the Event."""
        name = self.pod_event.pod
        pods = f"Pod {name} was" if self.count == 1 else f"{self.count} pods, such as {name}, were"
        return self.pod_event.text.replace("{pods}", pods)


class _Pending(msgspec.Struct):
    due: float
    count: int = 0
    last: PodEvent | None = None


class EventAggregator:
    """Aggregates Events for a bounded number of owners."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter({"written": 0, "failed": 0, "dropped": 0})
        """Events by result of writing them."""
        self.unprotected = 0
        """Unprotected pods."""
        self._pending: dict[tuple[str, Owner, str], _Pending] = {}
        self._by_namespace: Counter[str] = Counter()

    def add(self, pod_event: PodEvent, now: float) -> None:
        """Take an Event; if too many owners have some, drop and count it."""
        pending = self._pending.get(pod_event.key)
        if pending is None:
            if len(self._pending) >= MAX_ENTRIES or self._by_namespace[pod_event.namespace] >= MAX_PER_NAMESPACE:
                self.results["dropped"] += 1
                return
            pending = self._pending[pod_event.key] = _Pending(now + AGGREGATION_SECONDS)
            self._by_namespace[pod_event.namespace] += 1
        pending.count += 1
        pending.last = pod_event

    def due(self, now: float) -> list[AggregatedEvent]:
        """Return the due Events, and suppress further ones for a while."""
        due = []
        for key, pending in [each for each in self._pending.items() if each[1].due <= now]:
            if pending.last is None:
                del self._pending[key]
                self._by_namespace[key[0]] -= 1
                # A Counter keeps zeros.
                self._by_namespace += Counter()
                continue
            due.append(AggregatedEvent(pending.last, pending.count))
            pending.due = now + pending.last.suppress_seconds
            pending.count, pending.last = 0, None
        return due
