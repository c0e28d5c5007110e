"""Tracks the drains of a cluster from the changes of its pods, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import TypeAlias

import msgspec

from webhook.core.ownership import Owner, owner_of
from webhook.core.pod import JsonObject
from webhook.drains.outcome import UNOBSERVED, DrainResult, result_of
from webhook.drains.pods import DrainingPod, is_draining, read_draining_pod, revision_of
from webhook.drains.reflector import PodChange, PodDeleted, PodsListed, PodUpdated

OwnerKey: TypeAlias = tuple[str, Owner]
"""An owner with its namespace."""

ROLLOUT, DELETION = "rollout", "deletion"
# https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
_CAUSE_BY_CONDITION = {
    "EvictionByEvictionAPI": "eviction",
    "PreemptionByScheduler": "preemption",
    "DeletionByTaintManager": "taint",
    "DeletionByPodGC": "node-gone",
    "TerminationByKubelet": "node-shutdown",
}
CAUSES = frozenset({ROLLOUT, DELETION, *_CAUSE_BY_CONDITION.values()})
"""The known conditions; for others, the cause is the condition's own reason."""


class DrainStarted(msgspec.Struct, frozen=True):
    """A drain that starts, or is observed for the first time."""

    pod: DrainingPod
    cause: str


class DrainEnded(msgspec.Struct, frozen=True):
    """A drain that is over."""

    pod: DrainingPod
    cause: str
    result: DrainResult


DrainEvent: TypeAlias = DrainStarted | DrainEnded


class Tracker:
    """Knows the draining pods, and the cause of their drains.

    Of other pods, only their number by revision is kept: pods of a different revision distinguish a rollout from a
    deletion.
    """

    def __init__(self) -> None:
        self.draining: dict[str, DrainStarted] = {}
        """By the pod's UID."""
        self._running: dict[str, tuple[OwnerKey, str]] = {}
        self._revisions: dict[OwnerKey, Counter[str]] = {}

    @property
    def running(self) -> int:
        """The number of pods that are not draining."""
        return len(self._running)

    def apply(self, change: PodChange) -> Iterator[DrainEvent]:
        """Apply a change."""
        match change:
            case PodsListed(pods):
                yield from self.replace([pod["metadata"]["uid"] for pod in pods])
                # Pods that are not terminating come first: they distinguish a rollout from a deletion.
                for pod in sorted(pods, key=is_draining):
                    yield from self.update(pod)
            case PodUpdated(pod):
                yield from self.update(pod)
            case PodDeleted(pod):
                yield from self.delete(pod)

    def update(self, pod: JsonObject) -> Iterator[DrainStarted]:
        """Take the current state of a pod."""
        metadata = pod["metadata"]
        uid: str = metadata["uid"]
        if not is_draining(pod):
            if uid not in self._running:
                owner, revision = (metadata["namespace"], owner_of(metadata)), revision_of(metadata)
                self._running[uid] = owner, revision
                self._revisions.setdefault(owner, Counter())[revision] += 1
            return
        self._remove_running(uid)
        known = self.draining.get(uid)
        drain = self.draining[uid] = self._start_drain(read_draining_pod(pod), known)
        if known is None:
            yield drain

    def delete(self, pod: JsonObject) -> Iterator[DrainEvent]:
        """Take the last state of a deleted pod; without a deletionTimestamp, it never had a grace period."""
        uid: str = pod["metadata"]["uid"]
        self._remove_running(uid)
        if not is_draining(pod):
            return
        known = self.draining.pop(uid, None)
        last = self._start_drain(read_draining_pod(pod), known)
        if known is None:
            yield last
        yield DrainEnded(last.pod, last.cause, result_of(last.pod))

    def replace(self, uids: Collection[str]) -> Iterator[DrainEnded]:
        """Take all existing pods after a gap: how the missing ones ended is unknown."""
        existing = set(uids)
        for uid in self._running.keys() - existing:
            self._remove_running(uid)
        for uid in self.draining.keys() - existing:
            missing = self.draining.pop(uid)
            yield DrainEnded(missing.pod, missing.cause, UNOBSERVED)

    def _remove_running(self, uid: str) -> None:
        if uid not in self._running:
            return
        owner, revision = self._running.pop(uid)
        revisions = self._revisions[owner]
        revisions[revision] -= 1
        if not revisions[revision]:
            del revisions[revision]
        if not revisions:
            del self._revisions[owner]

    def _start_drain(self, pod: DrainingPod, known: DrainStarted | None) -> DrainStarted:
        """Determine the cause at the start; later, only a disruption that takes time from the drain changes it."""
        if known is not None and pod.is_removed:
            pod = msgspec.structs.replace(pod, deadline=known.pod.deadline, period=known.pod.period)
        is_cause = pod.is_disruption if known is None else bool(pod.disruption) and pod.period < known.pod.period
        if is_cause:
            return DrainStarted(pod, _CAUSE_BY_CONDITION.get(pod.disruption, pod.disruption))
        if known is not None:
            return DrainStarted(pod, known.cause)
        others = self._revisions.get((pod.namespace, pod.owner), {}).keys() - {pod.revision}
        return DrainStarted(pod, ROLLOUT if others else DELETION)
