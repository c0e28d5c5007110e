"""Groups drains by the metrics' labels; the number of groups is bounded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec

from webhook.core.ownership import Owner
from webhook.drains.pods import DrainingPod

MOST = 500
MOST_OF_A_NAMESPACE = 100
"""Limit per namespace, so that its owners do not displace all others."""
IDLE_SECONDS = 86400.0
"""Time after which an idle group may be replaced: Jobs have a new name each time."""
OTHER = "other"
# The content of our annotation may have been written by any author of pods.
_WORD = re.compile(r"[a-z0-9][-a-z0-9,.]{0,62}")
# A CronJob numbers its Jobs by minute: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
_SCHEDULED = re.compile(r"(.+)-\d{8,10}")


class Group(msgspec.Struct, frozen=True):
    """The properties by which drains are grouped; its fields are the metrics' labels."""

    namespace: str
    owner_kind: str
    owner: str
    framework: str
    mode: str


LABELS = Group.__struct_fields__
ALL_OTHERS = Group(OTHER, OTHER, OTHER, "", "")


def group_of(pod: DrainingPod) -> Group:
    """Return the group of a pod; pods without a controller form one group per namespace."""
    return group_of_owner(pod.namespace, pod.owner, pod.framework, pod.mode)


def group_of_owner(namespace: str, owner: Owner, framework: str = "", mode: str = "") -> Group:
    """Return the group of an owner's pods."""
    kind, name = owner.kind, owner.name
    scheduled = _SCHEDULED.fullmatch(name) if kind == "Job" else None
    if scheduled:
        kind, name = "CronJob", scheduled[1]
    return Group(namespace, kind, "" if kind == "Pod" else name, _word(framework), _word(mode))


def _word(text: str) -> str:
    return text if not text or _WORD.fullmatch(text) else OTHER


Kept = TypeVar("Kept")


class Groups(Generic[Kept]):
    """Keeps a value for each of a bounded number of groups."""

    def __init__(
        self, make: Callable[[], Kept], most: int = MOST, most_of_a_namespace: int = MOST_OF_A_NAMESPACE
    ) -> None:
        self._make = make
        self._most = most
        self._most_of_a_namespace = most_of_a_namespace
        self._kept: dict[Group, Kept] = {}
        self._used: dict[Group, float] = {}
        self._by_namespace: dict[str, set[Group]] = {}

    def __iter__(self) -> Iterator[tuple[Group, Kept]]:
        """Return all groups with their values."""
        return iter(self._kept.items())

    def resolve(self, group: Group) -> Group:
        """Return the group under which another one is currently counted."""
        others = Group(group.namespace, OTHER, OTHER, "", "")
        return next((each for each in (group, others) if each in self._kept), ALL_OTHERS)

    def use(self, group: Group, now: float) -> Kept:
        """Return the value of a group, or of the group for all others if there is no room."""
        others = Group(group.namespace, OTHER, OTHER, "", "")
        chosen = next((each for each in (group, others) if self._has_room(each, now)), ALL_OTHERS)
        if chosen not in self._kept:
            self._kept[chosen] = self._make()
            self._by_namespace.setdefault(chosen.namespace, set()).add(chosen)
        self._used[chosen] = now
        return self._kept[chosen]

    def _has_room(self, group: Group, now: float) -> bool:
        if group in self._kept:
            return True
        own = self._by_namespace.get(group.namespace, set())
        # The namespace's share always has room for its group of others.
        if len(own) >= self._most_of_a_namespace and group.owner_kind != OTHER and not self._forget_idle(own, now):
            return False
        return len(self._kept) < self._most or self._forget_idle(self._used, now)

    def _forget_idle(self, groups: set[Group] | dict[Group, float], now: float) -> bool:
        oldest = min(groups, key=self._used.__getitem__)
        if self._used[oldest] > now - IDLE_SECONDS:
            return False
        del self._kept[oldest], self._used[oldest]
        own = self._by_namespace[oldest.namespace]
        own.discard(oldest)
        if not own:
            del self._by_namespace[oldest.namespace]
        return True
