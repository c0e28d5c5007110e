"""The patch: what a plan has and the pod lacks, as minimal JSON Patch operations (RFC 6902).

Each field is named twice: by the pointer that the API server follows (list items by their index), and by the one that
the pod's record keeps (list items by their name), which holds when another webhook has moved them.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from webhook.core.annotations import INJECTED_LABEL, STATUS_ANNOTATION
from webhook.core.decision import Plan
from webhook.core.pod import NOTHING, Container, JsonObject, Pod, Volume
from webhook.core.status import GRACE_POINTER, Status, WorkerStatus
from webhook.core.wrapping import MOUNT_PATH, VOLUME

Operation = dict[str, Any]

# In memory: the cluster autoscaler takes any other emptyDir for local data and keeps the node for it, and a full disk
# must not keep the kill file from being written.
# https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md#what-types-of-pods-can-prevent-ca-from-removing-a-node
SHARED_VOLUME = {"name": VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
SHARED_MOUNT = {"name": VOLUME, "mountPath": MOUNT_PATH}


def escape(token: str) -> str:
    """Write a key as a part of a JSON Pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")


_ESCAPED_MOUNT_PATH = escape(MOUNT_PATH)


class PodPatch:
    """Collects the operations that make fields of a pod have values, and records what was there before."""

    def __init__(self, status: Status) -> None:
        self.operations: list[Operation] = []
        self._status = status
        self._recorded = {*status.before, *status.added}

    def set(self, at: str, named: str, there: Any, value: Any) -> None:
        """Make a field have a value; `there` is what it has, UNSET where it is missing from its object."""
        if there is UNSET:
            self.add(at, named, value)
        elif there != value:
            if named not in self._recorded:
                self._recorded.add(named)
                self._status.before[named] = there
            self.operations.append({"op": "replace", "path": at, "value": value})

    def add(self, at: str, named: str, value: Any) -> None:
        """Make a field, or the item of a list, that is missing."""
        self.operations.append({"op": "add", "path": at, "value": value})
        self.record_added(named)

    def make(self, at: str, named: str, there: Any, content: Any) -> None:
        """Make an object or a list that is missing (`there` is UNSET) or null."""
        self.operations.append({"op": "add", "path": at, "value": content})
        self._status.created.setdefault(named, "absent" if there is UNSET else "null")

    def record_added(self, named: str) -> None:
        """Record a field, or an item, that was not there."""
        if named not in self._recorded:
            self._recorded.add(named)
            self._status.added.append(named)


class MetadataPatch:
    """The part of a patch that sets labels and annotations, in objects that may have to be made first."""

    def __init__(self, patch: PodPatch, pod: Pod) -> None:
        metadata = pod.metadata or NOTHING
        self._patch = patch
        self._metadata = pod.metadata
        self._there = {"labels": metadata.labels, "annotations": metadata.annotations}
        self._made: dict[str, dict[str, str]] = {}

    def set(self, field: str, key: str, value: str) -> None:
        """Make a label, or an annotation, have a value."""
        at = f"/metadata/{field}/{escape(key)}"
        texts = self._there[field]
        if isinstance(texts, dict):
            self._patch.set(at, at, texts.get(key, UNSET), value)
            return
        self.make(field)
        self._made[field][key] = value
        self._patch.record_added(at)

    def make(self, field: str) -> None:
        """Make the object that holds the labels, or the annotations, where it is missing."""
        there = self._there[field]
        if isinstance(there, dict) or field in self._made:
            return
        texts = self._made[field] = {}
        if self._metadata:
            self._patch.make(f"/metadata/{field}", f"/metadata/{field}", there, texts)
        elif len(self._made) == 1:
            # What else comes into it is put in there: the operation holds this very object.
            self._new = {field: texts}
            self._patch.make("/metadata", "/metadata", self._metadata, self._new)
        else:
            self._new[field] = texts


def emit(pod: Pod, plan: Plan) -> list[Operation]:
    """Return the operations that give a pod what it lacks of a plan; none where it lacks nothing."""
    old = plan.status or Status()
    workers = {worker.name: WorkerStatus(worker.mode.value, worker.framework) for worker in plan.workers}
    status = Status(
        workers=old.workers | workers, before=dict(old.before), added=list(old.added), created=dict(old.created)
    )
    patch = PodPatch(status)
    _emit_spec(patch, pod, plan)
    metadata = MetadataPatch(patch, pod)
    for key, value in plan.labels.items():
        metadata.set("labels", key, value)
    for key, value in plan.annotations.items():
        metadata.set("annotations", key, value)
    if not patch.operations and plan.status is not None:
        return []
    metadata.set("labels", INJECTED_LABEL, "true")
    # The status stands for everything above, so the object that holds it is made and recorded first.
    metadata.make("annotations")
    metadata.set("annotations", STATUS_ANNOTATION, msgspec.json.encode(status).decode())
    return patch.operations


def _emit_spec(patch: PodPatch, pod: Pod, plan: Plan) -> None:
    spec = pod.spec
    containers = {container.name: (index, container) for index, container in enumerate(spec.containers)}
    _emit_volume(patch, spec.volumes)
    for name in plan.mounted:
        index, container = containers[name]
        _emit_mount(patch, f"/spec/containers/{index}", f"/spec/containers/{name}", container)
    for worker in plan.workers:
        if worker.wrapped:
            index, container = containers[worker.name]
            at, named = f"/spec/containers/{index}", f"/spec/containers/{worker.name}"
            patch.set(f"{at}/command", f"{named}/command", container.command, worker.wrapped.command)
            patch.set(f"{at}/args", f"{named}/args", container.args, worker.wrapped.args)
    for name, command in plan.hooks.items():
        index, container = containers[name]
        _emit_hook(patch, f"/spec/containers/{index}", f"/spec/containers/{name}", container, command)
    patch.set(GRACE_POINTER, GRACE_POINTER, spec.grace, plan.grace)
    for probe in plan.probes:
        field = f"{probe.probe}/terminationGracePeriodSeconds"
        at, named = (f"/spec/{probe.container_list}/{which}/{field}" for which in (probe.index, probe.container))
        patch.set(at, named, probe.there, probe.seconds)


def _emit_volume(patch: PodPatch, volumes: list[Volume] | UnsetType | None) -> None:
    at = "/spec/volumes"
    if not isinstance(volumes, list):
        patch.make(at, at, volumes, [SHARED_VOLUME])
        patch.record_added(f"{at}/{VOLUME}")
    elif not any(volume.is_shared for volume in volumes):
        patch.add(f"{at}/-", f"{at}/{VOLUME}", SHARED_VOLUME)


def _emit_mount(patch: PodPatch, at: str, named: str, container: Container) -> None:
    mounts = container.mounts
    if not isinstance(mounts, list):
        patch.make(f"{at}/volumeMounts", f"{named}/volumeMounts", mounts, [SHARED_MOUNT])
        patch.record_added(f"{named}/volumeMounts/{_ESCAPED_MOUNT_PATH}")
    elif not any(mount.is_shared for mount in mounts):
        patch.add(f"{at}/volumeMounts/-", f"{named}/volumeMounts/{_ESCAPED_MOUNT_PATH}", SHARED_MOUNT)


def _emit_hook(patch: PodPatch, at: str, named: str, container: Container, command: list[str]) -> None:
    """Set lifecycle.preStop.exec.command, and make of the objects on the way what is missing."""
    field = "/lifecycle"
    there: Any = container.lifecycle
    content: JsonObject = {"preStop": {"exec": {"command": command}}}
    for attribute, key in (("pre_stop", "preStop"), ("exec", "exec"), ("command", "command")):
        if not there:
            patch.make(at + field, named + field, there, content)
            patch.record_added(f"{named}/lifecycle/preStop/exec/command")
            return
        there, content, field = getattr(there, attribute), content[key], f"{field}/{key}"
    patch.set(at + field, named + field, there, command)
