"""The patch: what the pod lacks of its plan, as minimal JSON Patch operations (RFC 6902).

Each field has two pointers: the one that the API server uses (list items by index), and the one in the status
annotation (list items by name), which stays valid if another webhook moves items.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from webhook.core.annotations import INJECTED_LABEL, STATUS_ANNOTATION
from webhook.core.errors import Refused
from webhook.core.plan.pod_plan import CommandChange, PodPlan
from webhook.core.plan.shell import CONTAINER as SHELL_CONTAINER
from webhook.core.plan.shell import Brought
from webhook.core.pod import NOTHING, Container, JsonObject, Pod, Spec
from webhook.core.reasons import Reason
from webhook.core.status import GRACE_POINTER, CommandStatus, Status, WorkerStatus
from webhook.core.wrapper import MOUNT_PATH, SHELL_MOUNT_PATH, SHELL_VOLUME, VOLUME, find_ours, put_before

Operation = dict[str, Any]

# In memory: the cluster autoscaler does not remove nodes with other emptyDirs, and a full disk must not prevent the
# kill file.
# https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md#what-types-of-pods-can-prevent-ca-from-removing-a-node
SHARED_VOLUME: JsonObject = {"name": VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
# A static busybox takes 1 to 2 MiB.
SHARED_VOLUME_WITH_SHELL: JsonObject = {"name": VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}
SHARED_MOUNT = {"name": VOLUME, "mountPath": MOUNT_PATH}

LARGEST_ANNOTATIONS = 256 * 1024
"""The API server's limit for all annotations of an object, keys and values together, in bytes.

https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apimachinery/pkg/api/validation/objectmeta.go
"""
LARGEST_PATCH = 1024 * 1024
"""Bytes, as JSON: etcd stores at most 1.5 MiB. The patch of a few containers cannot be that large."""
_FEW_CONTAINERS = 20


@lru_cache(256)
def escape(token: str) -> str:
    """Escape a key for a JSON Pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")


class PodPatch:
    """Collects the operations that set fields of a pod, and records their previous values."""

    def __init__(self, status: Status) -> None:
        self.operations: list[Operation] = []
        self._status = status
        self._recorded = {*status.before, *status.added}

    def set(self, at: str, named: str, there: Any, value: Any) -> None:
        """Set a field; `there` is its current value, UNSET if it is missing."""
        if there is UNSET:
            self.add(at, named, value)
        elif there != value:
            if named not in self._recorded:
                self._recorded.add(named)
                self._status.before[named] = there
            self.operations.append({"op": "replace", "path": at, "value": value})

    def add(self, at: str, named: str, value: Any) -> None:
        """Add a missing field or list item."""
        self.operations.append({"op": "add", "path": at, "value": value})
        self.record_added(named)

    def make(self, at: str, named: str, there: Any, content: Any) -> None:
        """Add an object or list that is missing (`there` is UNSET) or null."""
        self.operations.append({"op": "add", "path": at, "value": content})
        self._status.created.setdefault(named, "absent" if there is UNSET else "null")

    def replace(self, at: str, there: Any, value: Any) -> None:
        """Set a field to a value from which the previous value can be derived."""
        self.operations.append({"op": "add" if there is UNSET else "replace", "path": at, "value": value})

    def knows_command(self, container: str) -> bool:
        """Tell whether a change of a command is recorded."""
        return container in self._status.commands or f"/spec/containers/{container}/command" in self._status.before

    def record_command(self, container: str, was: str, edits: list[tuple[int, list[str], int]]) -> None:
        """Record that a command was wrapped or edited."""
        if f"/spec/containers/{container}/command" in self._status.before:
            # An earlier release recorded it with every word.
            return
        recorded = self._status.commands.get(container)
        self._status.commands[container] = (
            CommandStatus(was, edits) if recorded is None else CommandStatus(recorded.was, [*edits, *recorded.edits])
        )

    def knows_hook(self, container: str) -> bool:
        """Tell whether a change of a hook is recorded."""
        pointer = f"/spec/containers/{container}/lifecycle/preStop/exec/command"
        return container in self._status.hooks or pointer in self._recorded

    def record_hook(self, container: str) -> None:
        """Record that a hook was wrapped."""
        pointer = f"/spec/containers/{container}/lifecycle/preStop/exec/command"
        if pointer not in self._recorded and container not in self._status.hooks:
            self._status.hooks.append(container)

    def append(
        self, at: str, named: str, there: Any, keys: Sequence[str], items: Sequence[tuple[str, JsonObject]]
    ) -> None:
        """Append items to a list, except those whose keys exist; create the list if it is missing or null."""
        if not isinstance(there, list):
            self.make(at, named, there, [item for _, item in items])
            for key, _ in items:
                self.record_added(f"{named}/{escape(key)}")
            return
        for key, item in items:
            if key not in keys:
                self.add(f"{at}/-", f"{named}/{escape(key)}", item)

    def record_added(self, named: str) -> None:
        """Record a field or item that did not exist."""
        if named not in self._recorded:
            self._recorded.add(named)
            self._status.added.append(named)


class MetadataPatch:
    """The part of a patch that sets labels and annotations, and creates the objects that hold them."""

    def __init__(self, patch: PodPatch, pod: Pod) -> None:
        metadata = pod.metadata or NOTHING
        self._patch = patch
        self._metadata = pod.metadata
        self._there = {"labels": metadata.labels, "annotations": metadata.annotations}
        self._made: dict[str, dict[str, str]] = {}

    def set(self, field: str, key: str, value: str) -> None:
        """Set a label or an annotation."""
        at = f"/metadata/{field}/{escape(key)}"
        texts = self._there[field]
        if isinstance(texts, dict):
            self._patch.set(at, at, texts.get(key, UNSET), value)
            return
        self.make(field)
        self._made[field][key] = value
        self._patch.record_added(at)

    def make(self, field: str) -> None:
        """Create the object that holds the labels or annotations if it is missing."""
        there = self._there[field]
        if isinstance(there, dict) or field in self._made:
            return
        texts = self._made[field] = {}
        if self._metadata:
            self._patch.make(f"/metadata/{field}", f"/metadata/{field}", there, texts)
        elif len(self._made) == 1:
            # Later entries are added to this same object, which the operation refers to.
            self._new = {field: texts}
            self._patch.make("/metadata", "/metadata", self._metadata, self._new)
        else:
            self._new[field] = texts


def emit(pod: Pod, plan: PodPlan) -> list[Operation]:
    """Return the operations that add what the pod lacks of a plan; none if it lacks nothing.

    Raises:
        Refused: its annotations leave no room for the status annotation, or the patch is too large.

    """
    old = plan.status or Status()
    workers = {
        worker.name: WorkerStatus(worker.mode.value, worker.framework, worker.signal, worker.image_signal)
        for worker in plan.workers
    }
    status = Status(
        workers=old.workers | workers,
        commands=dict(old.commands),
        hooks=list(old.hooks),
        before=dict(old.before),
        added=list(old.added),
        created=dict(old.created),
        moved=old.moved,
    )
    patch = PodPatch(status)
    _emit_spec(patch, pod, plan)
    # Last, because they change the indexes of everything else.
    brings = plan.brought is not None and plan.brought.init_container is not None
    moves = _prepare_moves(patch, status, pod.spec, plan.moved, is_made=brings)
    metadata = MetadataPatch(patch, pod)
    for key, value in plan.labels.items():
        metadata.set("labels", key, value)
    for key, value in plan.annotations.items():
        metadata.set("annotations", key, value)
    if not patch.operations and not moves and plan.status is not None:
        return []
    metadata.set("labels", INJECTED_LABEL, "true")
    # The status covers everything above, so its object is created and recorded first.
    metadata.make("annotations")
    record = msgspec.json.encode(status).decode()
    _check_room(pod, {**plan.annotations, STATUS_ANNOTATION: record})
    metadata.set("annotations", STATUS_ANNOTATION, record)
    operations = patch.operations + moves
    _check_size(pod, operations)
    return operations


def _check_size(pod: Pod, operations: list[Operation]) -> None:
    if len(pod.spec.containers) <= _FEW_CONTAINERS:
        return
    size = len(msgspec.json.encode(operations, enc_hook=str))
    if size > LARGEST_PATCH:
        detail = f"{size} bytes for {len(pod.spec.containers)} containers; the limit is {LARGEST_PATCH}"
        raise Refused(Reason.PATCH_TOO_LARGE, detail=detail)


def _check_room(pod: Pod, new: Mapping[str, str]) -> None:
    unread = pod.metadata.unread_bytes if pod.metadata else 0
    # A character has at most four bytes.
    if unread + 4 * (_characters(pod.annotations) + _characters(new)) <= LARGEST_ANNOTATIONS:
        return
    annotations = {**pod.annotations, **new}
    size = unread + sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > LARGEST_ANNOTATIONS:
        detail = f"{size} bytes in total; the limit is {LARGEST_ANNOTATIONS}; shorten your annotations"
        raise Refused(Reason.ANNOTATIONS_FULL, detail=detail)


def _characters(texts: Mapping[str, str]) -> int:
    return sum(map(len, texts)) + sum(map(len, texts.values()))


def _emit_spec(patch: PodPatch, pod: Pod, plan: PodPlan) -> None:
    spec = pod.spec
    places = _places(spec)
    _emit_lists(patch, spec, plan, places)
    for change in plan.commands:
        _emit_command(patch, places[change.name], change)
    for name, command in plan.hooks.items():
        _emit_hook(patch, places[name], command)
    patch.set(GRACE_POINTER, GRACE_POINTER, spec.grace, plan.grace_period.seconds)
    for probe in plan.grace_period.probes:
        field = f"{probe.probe}/terminationGracePeriodSeconds"
        at = f"/spec/{probe.container_list}/{probe.index}/{field}"
        named = f"/spec/{probe.container_list}/{probe.container}/{field}"
        patch.set(at, named, probe.current, probe.seconds)
    for index, container in enumerate(spec.init_containers or ()):
        if container.name in plan.restarted:
            at, named = (f"/spec/initContainers/{which}/restartPolicy" for which in (index, container.name))
            patch.set(at, named, container.restart_policy, "Always")


class _Place(NamedTuple):
    """The pointers of a container, by index and by name."""

    at: str
    named: str
    container: Container


def _places(spec: Spec) -> dict[str, _Place]:
    return {
        container.name: _Place(f"/spec/{field}/{index}", f"/spec/{field}/{container.name}", container)
        for field, containers in (("containers", spec.containers), ("initContainers", spec.init_containers or ()))
        for index, container in enumerate(containers)
    }


def _emit_command(patch: PodPatch, place: _Place, change: CommandChange) -> None:
    """Wrap a command and edit its words, in `command` and `args`."""
    at, named, container = place
    there = list(container.command or change.command)
    found = find_ours(there)
    own = list(there[found[1] :] if found else there)
    args = list(container.args or ())
    undone: list[tuple[int, list[str], int]] = []
    for edit in change.edits:
        part, start = (own, edit.place) if edit.place < len(own) + (not args) else (args, edit.place - len(own))
        part[start : start + len(edit.old)] = edit.new
        undone.insert(0, (edit.place, list(edit.old), len(edit.new)))
    command = put_before([*there[: found[1] if found else 0], *own], change.before) if change.before else own
    if command != list(container.command or ()):
        if found and not patch.knows_command(container.name):
            # Wrapped, but not recorded: the current command is all that can be restored.
            patch.set(f"{at}/command", f"{named}/command", container.command, command)
        else:
            patch.replace(f"{at}/command", container.command, command)
    if args != list(container.args or ()):
        patch.replace(f"{at}/args", container.args, args)
    if found and not patch.knows_command(container.name):
        return
    was = "" if container.command else "null" if container.command is None else "absent"
    patch.record_command(container.name, was, undone)


def _emit_lists(patch: PodPatch, spec: Spec, plan: PodPlan, places: Mapping[str, _Place]) -> None:
    """Add volumes, mounts, and an init container where they are missing."""
    brought = plan.brought
    volumes = [(VOLUME, SHARED_VOLUME if brought is None else _volume_for(brought))]
    mounts = [(MOUNT_PATH, SHARED_MOUNT)]
    if brought and brought.volume and brought.mount:
        volumes.append((SHELL_VOLUME, brought.volume))
        mounts.append((SHELL_MOUNT_PATH, brought.mount))
    at = "/spec/volumes"
    patch.append(at, at, spec.volumes, [volume.name for volume in spec.volumes or ()], volumes)
    if brought and brought.init_container:
        _make_room(patch, spec)
    if brought and brought.init_container:
        at = "/spec/initContainers"
        there = [container.name for container in spec.init_containers or ()]
        patch.append(at, at, spec.init_containers, there, [(SHELL_CONTAINER, brought.init_container)])
    for name, (place, named, container) in places.items():
        if name in plan.mounted:
            there = [mount.path for mount in container.mounts or ()]
            patch.append(f"{place}/volumeMounts", f"{named}/volumeMounts", container.mounts, there, mounts)


def _make_room(patch: PodPatch, spec: Spec) -> None:
    """Raise the size of the shared volume for a shell if an earlier injection created it for files only."""
    small, large = (volume["emptyDir"]["sizeLimit"] for volume in (SHARED_VOLUME, SHARED_VOLUME_WITH_SHELL))
    for index, volume in enumerate(spec.volumes or ()):
        if volume.is_shared and volume.empty_dir and volume.empty_dir.size_limit == small:
            field = "emptyDir/sizeLimit"
            patch.set(f"/spec/volumes/{index}/{field}", f"/spec/volumes/{VOLUME}/{field}", small, large)


def _volume_for(brought: Brought) -> JsonObject:
    return SHARED_VOLUME_WITH_SHELL if brought.init_container else SHARED_VOLUME


def _prepare_moves(
    patch: PodPatch, status: Status, spec: Spec, names: Sequence[str], *, is_made: bool
) -> list[Operation]:
    """Prepare sidecars to become native, and return the operations that move them.

    `is_made` means that the patch has created the list of init containers.
    """
    if not names:
        return []
    at = "/spec/initContainers"
    if not isinstance(spec.init_containers, list) and not is_made:
        patch.make(at, at, spec.init_containers, [])
    earlier = sorted((status.moved or {}).values())
    moved: dict[str, int] = {}
    moves: list[Operation] = []
    for index, container in enumerate(spec.containers):
        if container.name not in names:
            continue
        field = "restartPolicy"
        here, named = (f"/spec/containers/{which}/{field}" for which in (index, container.name))
        patch.set(here, named, container.restart_policy, "Always")
        # Items before it have already been removed.
        moves.append({"op": "move", "from": f"/spec/containers/{index - len(moves)}", "path": f"{at}/-"})
        moved[container.name] = _place(index, earlier)
    status.moved = (status.moved or {}) | moved
    return moves


def _place(index: int, earlier: Iterable[int]) -> int:
    """Return the original index of an item; `places` are the removed ones, in order."""
    for place in earlier:
        index += place <= index
    return index


def _emit_hook(patch: PodPatch, place: _Place, command: list[str]) -> None:
    """Set lifecycle.preStop.exec.command, and create missing objects on the way."""
    at, named, container = place
    field = "/lifecycle"
    there: Any = container.lifecycle
    content: JsonObject = {"preStop": {"exec": {"command": command}}}
    for attribute, key in (("pre_stop", "preStop"), ("exec", "exec"), ("command", "command")):
        if not there:
            patch.make(at + field, named + field, there, content)
            patch.record_added(f"{named}/lifecycle/preStop/exec/command")
            return
        there, content, field = getattr(there, attribute), content[key], f"{field}/{key}"
    pointer = named + field
    if there and (patch.knows_hook(container.name) or find_ours(there) is None):
        if there != command:
            patch.replace(at + field, there, command)
            patch.record_hook(container.name)
        return
    patch.set(at + field, pointer, there, command)
