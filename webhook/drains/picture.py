"""The drains of a selection, from the changes of pods in one or more namespaces."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from webhook.core.ownership import owner_of
from webhook.core.pod import JsonObject
from webhook.drains.pods import is_draining
from webhook.drains.reflector import PodChange, PodDeleted, PodsListed, PodUpdated
from webhook.drains.selection import Target, is_meant
from webhook.drains.tracker import Begun, Ended, Tracker


class Picture:
    """Takes the changes in each namespace, and returns which drains begin and end.

    The empty namespace means the whole cluster.
    """

    def __init__(self, namespaces: Collection[str], targets: Collection[Target] = ()) -> None:
        self._targets = frozenset(targets)
        self._trackers = {namespace: Tracker() for namespace in namespaces}
        self._protected: dict[str, int] = {}

    @property
    def is_whole(self) -> bool:
        """Whether all namespaces have been listed."""
        return self._protected.keys() == self._trackers.keys()

    @property
    def protected(self) -> int:
        """The number of protected pods in the selection when it was last listed."""
        return sum(self._protected.values())

    @property
    def draining(self) -> list[Begun]:
        """The drains in progress, those with the least time left first."""
        return sorted(self._meant(), key=lambda drain: (drain.pod.deadline, drain.pod.namespace, drain.pod.name))

    @property
    def is_quiet(self) -> bool:
        """Whether no drains are in progress."""
        return next(self._meant(), None) is None

    def take(self, namespace: str, change: PodChange) -> Iterator[Begun | Ended]:
        """Take a change, and return which drains of the selection begin or end."""
        for event in self._events(self._trackers[namespace], change):
            if self._means(event):
                yield event
        if isinstance(change, PodsListed):
            self._protected[namespace] = sum(map(self._means_pod, change.pods))

    def take_also(self, namespace: str, pods: Iterable[JsonObject], over: Collection[str]) -> Iterator[Begun]:
        """Take pods from a separate list; the watch may be ahead, and have observed the end of some."""
        tracker = self._trackers[namespace]
        for pod in pods:
            uid = pod["metadata"]["uid"]
            if is_draining(pod) and self._means_pod(pod) and uid not in over and uid not in tracker.draining:
                yield from filter(self._means, tracker.see(pod))

    @staticmethod
    def _events(tracker: Tracker, change: PodChange) -> Iterator[Begun | Ended]:
        match change:
            case PodsListed(pods):
                yield from tracker.relist([pod["metadata"]["uid"] for pod in pods])
                # Pods that are not terminating come first: they distinguish a rollout from a deletion.
                for pod in sorted(pods, key=is_draining):
                    yield from tracker.see(pod)
            case PodUpdated(pod):
                yield from tracker.see(pod)
            case PodDeleted(pod):
                yield from tracker.gone(pod)

    def _meant(self) -> Iterator[Begun]:
        drains = (drain for tracker in self._trackers.values() for drain in tracker.draining.values())
        return filter(self._means, drains)

    def _means(self, drain: Begun | Ended) -> bool:
        pod = drain.pod
        return is_meant(self._targets, owner=pod.owner, pod=pod.name, node=pod.node)

    def _means_pod(self, pod: JsonObject) -> bool:
        metadata = pod["metadata"]
        node = (pod.get("spec") or {}).get("nodeName") or ""
        return is_meant(self._targets, owner=owner_of(metadata), pod=metadata["name"], node=node)
