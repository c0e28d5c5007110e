"""The drains of a selection, from the changes of pods in one or more namespaces."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from webhook.core.ownership import owner_of
from webhook.core.pod import JsonObject
from webhook.drains.pods import is_draining
from webhook.drains.reflector import PodChange, PodsListed
from webhook.drains.targets import Target, is_selected
from webhook.drains.tracker import DrainEvent, DrainStarted, Tracker


class SelectedDrains:
    """Applies the changes in each namespace, and returns which drains start and end.

    The empty namespace means the whole cluster.
    """

    def __init__(self, namespaces: Collection[str], targets: Collection[Target] = ()) -> None:
        self._targets = frozenset(targets)
        self._trackers = {namespace: Tracker() for namespace in namespaces}
        self._protected_pods: dict[str, int] = {}

    @property
    def has_synced(self) -> bool:
        """Whether all namespaces have been listed."""
        return self._protected_pods.keys() == self._trackers.keys()

    @property
    def protected_pods(self) -> int:
        """The number of protected pods in the selection when it was last listed."""
        return sum(self._protected_pods.values())

    @property
    def draining(self) -> list[DrainStarted]:
        """The drains in progress, those with the least time left first."""
        return sorted(self._selected(), key=lambda drain: (drain.pod.deadline, drain.pod.namespace, drain.pod.name))

    @property
    def is_idle(self) -> bool:
        """Whether no drains are in progress."""
        return next(self._selected(), None) is None

    def apply(self, namespace: str, change: PodChange) -> Iterator[DrainEvent]:
        """Apply a change, and return which drains of the selection start or end."""
        yield from filter(self._selects, self._trackers[namespace].apply(change))
        if isinstance(change, PodsListed):
            self._protected_pods[namespace] = sum(map(self._selects_pod, change.pods))

    def apply_list(
        self, namespace: str, pods: Iterable[JsonObject], ended_uids: Collection[str]
    ) -> Iterator[DrainStarted]:
        """Apply a separate list of pods; the watch may be ahead, and have observed the end of some."""
        tracker = self._trackers[namespace]
        for pod in pods:
            uid = pod["metadata"]["uid"]
            if is_draining(pod) and self._selects_pod(pod) and uid not in ended_uids and uid not in tracker.draining:
                yield from filter(self._selects, tracker.update(pod))

    def _selected(self) -> Iterator[DrainStarted]:
        drains = (drain for tracker in self._trackers.values() for drain in tracker.draining.values())
        return filter(self._selects, drains)

    def _selects(self, drain: DrainEvent) -> bool:
        pod = drain.pod
        return is_selected(self._targets, owner=pod.owner, pod=pod.name, node=pod.node)

    def _selects_pod(self, pod: JsonObject) -> bool:
        metadata = pod["metadata"]
        node = (pod.get("spec") or {}).get("nodeName") or ""
        return is_selected(self._targets, owner=owner_of(metadata), pod=metadata["name"], node=node)
