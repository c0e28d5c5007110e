"""Collects notices by owner and reason, so that a rollout of hundreds of pods is one Event."""

from __future__ import annotations

from collections import Counter

import msgspec

from webhook.core.ownership import Owner

GATHER_SECONDS = 5.0
"""How long to collect pods before the first Event of an owner."""
MOST = 1000
MOST_OF_A_NAMESPACE = 100
"""Maximum number of owners and reasons, so that one namespace does not displace all others."""


class Notice(msgspec.Struct, frozen=True):
    """A notice about a pod, for its owner.

    `text` contains the placeholder {pods}; `quiet` is how long, in seconds, the same notice about the same owner is
    suppressed.
    """

    namespace: str
    owner: Owner
    owner_uid: str
    pod: str
    pod_uid: str
    reason: str
    text: str
    quiet: float

    @property
    def key(self) -> tuple[str, Owner, str]:
        """The key by which notices are collected."""
        return self.namespace, self.owner, self.reason


class Gathered(msgspec.Struct, frozen=True):
    """The latest of several equal notices, and their number."""

    notice: Notice
    count: int

    @property
    def message(self) -> str:
        """The text of the Event."""
        name = self.notice.pod
        pods = f"Pod {name} was" if self.count == 1 else f"{self.count} pods, such as {name}, were"
        return self.notice.text.replace("{pods}", pods)


class _Waiting:
    __slots__ = ("count", "due", "last")

    def __init__(self, due: float) -> None:
        self.count = 0
        self.due = due
        self.last: Notice | None = None


class Notices:
    """Collects notices for a bounded number of owners."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter({"written": 0, "failed": 0, "dropped": 0})
        """Events by result."""
        self.unprotected = 0
        """Unprotected pods."""
        self._waiting: dict[tuple[str, Owner, str], _Waiting] = {}
        self._by_namespace: Counter[str] = Counter()

    def add(self, notice: Notice, now: float) -> None:
        """Take a notice; if too many owners have some, drop and count it."""
        waiting = self._waiting.get(notice.key)
        if waiting is None:
            if len(self._waiting) >= MOST or self._by_namespace[notice.namespace] >= MOST_OF_A_NAMESPACE:
                self.results["dropped"] += 1
                return
            waiting = self._waiting[notice.key] = _Waiting(now + GATHER_SECONDS)
            self._by_namespace[notice.namespace] += 1
        waiting.count += 1
        waiting.last = notice

    def due(self, now: float) -> list[Gathered]:
        """Return the due notices, and suppress them for a while."""
        told = []
        for key, waiting in [each for each in self._waiting.items() if each[1].due <= now]:
            if waiting.last is None:
                self._forget(key)
                continue
            told.append(Gathered(waiting.last, waiting.count))
            waiting.due = now + waiting.last.quiet
            waiting.count, waiting.last = 0, None
        return told

    def _forget(self, key: tuple[str, Owner, str]) -> None:
        del self._waiting[key]
        self._by_namespace[key[0]] -= 1
        # A Counter keeps zeros.
        self._by_namespace += Counter()
