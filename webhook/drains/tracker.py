"""Tracks the drains of a cluster from the changes of its pods, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import TypeAlias

import msgspec

from webhook.core.ownership import Owner, owner_of
from webhook.core.pod import JsonObject
from webhook.drains.outcome import NOTHING_SEEN, End, end_of
from webhook.drains.pods import DrainingPod, is_draining, read_draining, revision_of

OwnerKey: TypeAlias = tuple[str, Owner]
"""An owner with its namespace."""

ROLLOUT, DELETION = "rollout", "deletion"
# https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
_CAUSES = {
    "EvictionByEvictionAPI": "eviction",
    "PreemptionByScheduler": "preemption",
    "DeletionByTaintManager": "taint",
    "DeletionByPodGC": "node-gone",
    "TerminationByKubelet": "node-shutdown",
}
CAUSES = frozenset({ROLLOUT, DELETION, *_CAUSES.values()})
"""The known conditions; for others, the cause is the condition's own reason."""


class Begun(msgspec.Struct, frozen=True):
    """A drain that begins, or is observed for the first time."""

    pod: DrainingPod
    cause: str


class Ended(msgspec.Struct, frozen=True):
    """A drain that is over."""

    pod: DrainingPod
    cause: str
    end: End


class Tracker:
    """Knows the draining pods, and the cause of their drains.

    Of other pods, only their number by revision is kept: pods of a different revision distinguish a rollout from a
    deletion.
    """

    def __init__(self) -> None:
        self.draining: dict[str, Begun] = {}
        """By the pod's UID."""
        self._alive: dict[str, tuple[OwnerKey, str]] = {}
        self._revisions: dict[OwnerKey, Counter[str]] = {}

    @property
    def living(self) -> int:
        """The number of pods that are not draining."""
        return len(self._alive)

    def see(self, pod: JsonObject) -> Iterator[Begun]:
        """Take the current state of a pod."""
        metadata = pod["metadata"]
        uid: str = metadata["uid"]
        if not is_draining(pod):
            self._live(uid, (metadata["namespace"], owner_of(metadata)), revision_of(metadata))
            return
        self._forget(uid)
        known = self.draining.get(uid)
        now = self.draining[uid] = self._drain(read_draining(pod), known)
        if known is None:
            yield now

    def gone(self, pod: JsonObject) -> Iterator[Begun | Ended]:
        """Take the last state of a deleted pod; without a deletionTimestamp, it never had a grace period."""
        uid: str = pod["metadata"]["uid"]
        self._forget(uid)
        if not is_draining(pod):
            return
        known = self.draining.pop(uid, None)
        last = self._drain(read_draining(pod), known)
        if known is None:
            yield last
        yield Ended(last.pod, last.cause, end_of(last.pod))

    def relist(self, uids: Collection[str]) -> Iterator[Ended]:
        """Take all existing pods after a gap: how the missing ones ended is unknown."""
        there = set(uids)
        for uid in self._alive.keys() - there:
            self._forget(uid)
        for uid in self.draining.keys() - there:
            lost = self.draining.pop(uid)
            yield Ended(lost.pod, lost.cause, NOTHING_SEEN)

    def _live(self, uid: str, owner: OwnerKey, revision: str) -> None:
        if uid not in self._alive:
            self._alive[uid] = owner, revision
            self._revisions.setdefault(owner, Counter())[revision] += 1

    def _forget(self, uid: str) -> None:
        known = self._alive.pop(uid, None)
        if known is None:
            return
        owner, revision = known
        revisions = self._revisions[owner]
        revisions[revision] -= 1
        if not revisions[revision]:
            del revisions[revision]
        if not revisions:
            del self._revisions[owner]

    def _drain(self, pod: DrainingPod, known: Begun | None) -> Begun:
        """Determine the cause from the pod's condition, else from the state when the drain began."""
        if known is not None and pod.is_removed:
            pod = msgspec.structs.replace(pod, deadline=known.pod.deadline, period=known.pod.period)
        if pod.disruption:
            return Begun(pod, _CAUSES.get(pod.disruption, pod.disruption))
        if known is not None:
            return Begun(pod, known.cause)
        others = self._revisions.get((pod.namespace, pod.owner), {}).keys() - {pod.revision}
        return Begun(pod, ROLLOUT if others else DELETION)
