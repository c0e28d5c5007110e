"""What somebody is to be told: gathered by owner and reason, so that a rollout of hundreds is told in one Event."""

from __future__ import annotations

from collections import Counter

import msgspec

from webhook.core.ownership import Owner

GATHER_SECONDS = 5.0
"""For so long pods are gathered before the first Event of an owner."""
MOST = 1000
MOST_OF_A_NAMESPACE = 100
"""Owners and reasons that are remembered, so that one namespace never takes the place of all others."""


class Notice(msgspec.Struct, frozen=True):
    """What is said of a pod, to whoever looks after its owner.

    `text` has the place {pods}; `quiet` is how long, in seconds, nothing more is said of the same owner for the same
    reason.
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
        """What it is gathered by."""
        return self.namespace, self.owner, self.reason


class Gathered(msgspec.Struct, frozen=True):
    """The last of some notices that say the same, and how many they are."""

    notice: Notice
    count: int

    @property
    def message(self) -> str:
        """The words of the Event."""
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
    """Gathers notices; how many owners are remembered is bounded."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter({"written": 0, "failed": 0, "dropped": 0})
        """Events, by what became of them."""
        self.unprotected = 0
        """Pods that came through unprotected."""
        self._waiting: dict[tuple[str, Owner, str], _Waiting] = {}
        self._by_namespace: Counter[str] = Counter()

    def add(self, notice: Notice, now: float) -> None:
        """Take a notice; where too many owners have some, it is dropped, and counted."""
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
        """Return what is to be said now, and be quiet of it for a while."""
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
        # A Counter keeps what has come to nothing.
        self._by_namespace += Counter()
