"""The patch: what the pod lacks of its plan, as minimal operations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from webhook.core.annotations import INJECTED_LABEL, STATUS_ANNOTATION
from webhook.core.errors import Refused
from webhook.core.patch.json_patch import MetadataPatch, Operation, PodPatch
from webhook.core.plan.injected_shell import SHELL_CONTAINER
from webhook.core.plan.pod_plan import CommandChange, PodPlan
from webhook.core.pod import Container, JsonObject, Pod, Spec, size_in_bytes
from webhook.core.reasons import Reason
from webhook.core.status import GRACE_POINTER, Status, WorkerStatus
from webhook.core.wrapper import MOUNT_PATH, SHELL_MOUNT_PATH, SHELL_VOLUME, VOLUME, find_wrapper, wrap

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
    has_init_container = plan.injected_shell is not None and plan.injected_shell.init_container is not None
    moves = _prepare_moves(patch, status, pod.spec, plan.moved, list_is_created=has_init_container)
    metadata = MetadataPatch(patch, pod)
    for key, value in plan.labels.items():
        metadata.set("labels", key, value)
    for key, value in plan.annotations.items():
        metadata.set("annotations", key, value)
    if not patch.operations and not moves and plan.status is not None:
        return []
    metadata.set("labels", INJECTED_LABEL, "true")
    # The status covers everything above, so its object is created and recorded first.
    metadata.create("annotations")
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
    other = pod.metadata.unread_bytes if pod.metadata else 0
    size = other + size_in_bytes({**pod.annotations, **new})
    if size > LARGEST_ANNOTATIONS:
        detail = f"{size} bytes in total; the limit is {LARGEST_ANNOTATIONS}; shorten your annotations"
        raise Refused(Reason.ANNOTATIONS_FULL, detail=detail)


def _emit_spec(patch: PodPatch, pod: Pod, plan: PodPlan) -> None:
    spec = pod.spec
    locations = _locations(spec)
    _emit_lists(patch, spec, plan, locations)
    for change in plan.commands:
        _emit_command(patch, locations[change.name], change)
    for name, command in plan.hooks.items():
        _emit_hook(patch, locations[name], command)
    patch.set(GRACE_POINTER, GRACE_POINTER, spec.grace, plan.grace_period.seconds)
    for probe in plan.grace_period.probes:
        field = f"{probe.probe}/terminationGracePeriodSeconds"
        pointer = f"/spec/{probe.container_list}/{probe.index}/{field}"
        by_name = f"/spec/{probe.container_list}/{probe.container}/{field}"
        patch.set(pointer, by_name, probe.current, probe.seconds)
    for index, container in enumerate(spec.init_containers or ()):
        if container.name in plan.restarted:
            pointer, by_name = (f"/spec/initContainers/{which}/restartPolicy" for which in (index, container.name))
            patch.set(pointer, by_name, container.restart_policy, "Always")


class _Location(NamedTuple):
    """The pointers of a container, by index and by name."""

    pointer: str
    by_name: str
    container: Container


def _locations(spec: Spec) -> dict[str, _Location]:
    return {
        container.name: _Location(f"/spec/{field}/{index}", f"/spec/{field}/{container.name}", container)
        for field, containers in spec.container_lists
        for index, container in enumerate(containers)
    }


def _emit_command(patch: PodPatch, location: _Location, change: CommandChange) -> None:
    """Wrap a command and edit its words, in `command` and `args`."""
    pointer, by_name, container = location
    current = list(container.command or change.command)
    found = find_wrapper(current)
    own = list(current[found[1] :] if found else current)
    args = list(container.args or ())
    reversed_edits: list[tuple[int, list[str], int]] = []
    for edit in change.edits:
        part, start = (own, edit.index) if edit.index < len(own) + (not args) else (args, edit.index - len(own))
        part[start : start + len(edit.old)] = edit.new
        reversed_edits.insert(0, (edit.index, list(edit.old), len(edit.new)))
    command = wrap([*current[: found[1] if found else 0], *own], change.wrapper) if change.wrapper else own
    if command != list(container.command or ()):
        if found and not patch.has_recorded_command(container.name):
            # Wrapped, but not recorded: the current command is all that can be restored.
            patch.set(f"{pointer}/command", f"{by_name}/command", container.command, command)
        else:
            patch.replace(f"{pointer}/command", container.command, command)
    if args != list(container.args or ()):
        patch.replace(f"{pointer}/args", container.args, args)
    if found and not patch.has_recorded_command(container.name):
        return
    previous = "" if container.command else "null" if container.command is None else "absent"
    patch.record_command(container.name, previous, reversed_edits)


def _emit_lists(patch: PodPatch, spec: Spec, plan: PodPlan, locations: Mapping[str, _Location]) -> None:
    """Add volumes, mounts, and an init container where they are missing."""
    shell = plan.injected_shell
    volumes = [(VOLUME, SHARED_VOLUME_WITH_SHELL if shell and shell.init_container else SHARED_VOLUME)]
    mounts = [(MOUNT_PATH, SHARED_MOUNT)]
    if shell and shell.volume and shell.mount:
        volumes.append((SHELL_VOLUME, shell.volume))
        mounts.append((SHELL_MOUNT_PATH, shell.mount))
    pointer = "/spec/volumes"
    patch.append(pointer, pointer, spec.volumes, [volume.name for volume in spec.volumes or ()], volumes)
    if shell and shell.init_container:
        _enlarge_shared_volume(patch, spec)
        pointer = "/spec/initContainers"
        current = [container.name for container in spec.init_containers or ()]
        patch.append(pointer, pointer, spec.init_containers, current, [(SHELL_CONTAINER, shell.init_container)])
    for name, (pointer, by_name, container) in locations.items():
        if name in plan.mounted:
            current = [mount.path for mount in container.mounts or ()]
            patch.append(f"{pointer}/volumeMounts", f"{by_name}/volumeMounts", container.mounts, current, mounts)


def _enlarge_shared_volume(patch: PodPatch, spec: Spec) -> None:
    """Raise the size of the shared volume for a shell if an earlier injection created it for files only."""
    small, large = (volume["emptyDir"]["sizeLimit"] for volume in (SHARED_VOLUME, SHARED_VOLUME_WITH_SHELL))
    for index, volume in enumerate(spec.volumes or ()):
        if volume.name == VOLUME and volume.empty_dir and volume.empty_dir.size_limit == small:
            field = "emptyDir/sizeLimit"
            patch.set(f"/spec/volumes/{index}/{field}", f"/spec/volumes/{VOLUME}/{field}", small, large)


def _prepare_moves(
    patch: PodPatch, status: Status, spec: Spec, names: Sequence[str], *, list_is_created: bool
) -> list[Operation]:
    """Prepare sidecars to become native, and return the operations that move them.

    `list_is_created` means that the patch has created the list of init containers.
    """
    if not names:
        return []
    pointer = "/spec/initContainers"
    if not isinstance(spec.init_containers, list) and not list_is_created:
        patch.create(pointer, pointer, spec.init_containers, [])
    earlier = sorted((status.moved or {}).values())
    moved: dict[str, int] = {}
    moves: list[Operation] = []
    for index, container in enumerate(spec.containers):
        if container.name not in names:
            continue
        path, by_name = (f"/spec/containers/{which}/restartPolicy" for which in (index, container.name))
        patch.set(path, by_name, container.restart_policy, "Always")
        # Items before it have already been removed.
        moves.append({"op": "move", "from": f"/spec/containers/{index - len(moves)}", "path": f"{pointer}/-"})
        moved[container.name] = _original_index(index, earlier)
    status.moved = (status.moved or {}) | moved
    return moves


def _original_index(index: int, earlier: Iterable[int]) -> int:
    """Return the original index of an item; `earlier` are the removed ones, in order."""
    for removed in earlier:
        index += removed <= index
    return index


def _emit_hook(patch: PodPatch, location: _Location, command: list[str]) -> None:
    """Set lifecycle.preStop.exec.command, and create missing objects on the way."""
    pointer, by_name, container = location
    field = "/lifecycle"
    current: Any = container.lifecycle
    content: JsonObject = {"preStop": {"exec": {"command": command}}}
    for attribute, key in (("pre_stop", "preStop"), ("exec", "exec"), ("command", "command")):
        if not current:
            patch.create(pointer + field, by_name + field, current, content)
            patch.record_added(f"{by_name}/lifecycle/preStop/exec/command")
            return
        current, content, field = getattr(current, attribute), content[key], f"{field}/{key}"
    if current and (patch.has_recorded_hook(container.name) or find_wrapper(current) is None):
        if current != command:
            patch.replace(pointer + field, current, command)
            patch.record_hook(container.name)
        return
    patch.set(pointer + field, by_name + field, current, command)
