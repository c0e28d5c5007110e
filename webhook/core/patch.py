"""The patch: what a plan has and the pod lacks, as minimal JSON Patch operations on the raw object (RFC 6902)."""

from __future__ import annotations

from typing import Any

import msgspec

from webhook.core.annotations import INJECTED_LABEL, STATUS_ANNOTATION
from webhook.core.decision import Plan
from webhook.core.pod import JsonObject
from webhook.core.status import Status, WorkerStatus
from webhook.core.wrapping import MOUNT_PATH, VOLUME

Operation = dict[str, Any]
Path = tuple[str, ...]

# In memory: the cluster autoscaler takes any other emptyDir for local data and keeps the node for it, and a full disk
# must not keep the kill file from being written.
# https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md#what-types-of-pods-can-prevent-ca-from-removing-a-node
SHARED_VOLUME = {"name": VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
SHARED_MOUNT = {"name": VOLUME, "mountPath": MOUNT_PATH}


def escape(token: str) -> str:
    """Write a key as a part of a JSON Pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")


def pointer(path: Path) -> str:
    """Write a path as a JSON Pointer."""
    return "".join(f"/{escape(token)}" for token in path)


def item_key(path: Path) -> str:
    """Return the key by which the items of a list are told apart."""
    return "mountPath" if path[-1] == "volumeMounts" else "name"


def find_item(items: list[Any], key: str, value: str) -> int | None:
    """Return the index of the list item with this key; None where there is none."""
    return next((i for i, item in enumerate(items) if isinstance(item, dict) and item.get(key) == value), None)


class PodPatch:
    """Collects the operations that make fields of a raw pod have values, and records what was there before."""

    def __init__(self, raw: JsonObject, status: Status) -> None:
        self.operations: list[Operation] = []
        self._raw = raw
        self._status = status
        self._recorded = {*status.before, *status.added}
        # Objects that an operation of this very patch makes: what else belongs into them is put in there.
        self._made: dict[Path, Any] = {}
        # Where the items of a list are, by their names: a pod with thousands of containers must not take seconds.
        self._positions: dict[Path, dict[str, int]] = {}

    def set(self, path: Path, value: Any) -> None:
        """Make the field at a path have a value; objects on the way are made where they are missing."""
        *above, key = path
        parent, at = self.reach(tuple(above), {key: value})
        if parent is None or key not in parent:
            self._record_added(path)
        elif parent[key] == value:
            return
        else:
            self._record_before(path, parent[key])
        if parent is not None:
            self._operate("replace" if key in parent else "add", f"{at}/{escape(key)}", value)

    def append(self, path: Path, item: JsonObject) -> None:
        """Make the list at a path contain an item; one that has its key already counts as that item."""
        key = item_key(path)
        items, at = self.reach(path, [item])
        if items is not None:
            if find_item(items, key, item[key]) is not None:
                return
            self._operate("add", f"{at}/-", item)
        self._record_added((*path, item[key]))

    def reach(self, path: Path, content: Any) -> tuple[Any, str]:
        """Walk to the object or list at a path, and return it with its JSON Pointer.

        Where it is missing, it is made with `content`, and None is returned in its place.
        """
        node: Any = self._raw
        at = ""
        for depth, token in enumerate(path, start=1):
            here = path[:depth]
            if here in self._made:
                _fill(self._made[here], path[depth:], content)
                return None, at
            child, name = self._child(node, path[: depth - 1], token)
            at += f"/{name}"
            if child is None:
                self._made[here] = _nested(path[depth:], content)
                self._operate("add", at, self._made[here])
                self._status.created.setdefault(pointer(here), "null" if token in node else "absent")
                return None, at
            node = child
        return node, at

    def _child(self, node: Any, path: Path, token: str) -> tuple[Any, str]:
        """Return a field of an object, or the item of a list that has this name, and its part of the JSON Pointer."""
        if isinstance(node, dict):
            return node.get(token), escape(token)
        if path not in self._positions:
            self._positions[path] = {item["name"]: index for index, item in enumerate(node)}
        index = self._positions[path][token]
        return node[index], str(index)

    def _operate(self, operation: str, at: str, value: Any) -> None:
        self.operations.append({"op": operation, "path": at, "value": value})

    def _record_added(self, path: Path) -> None:
        named = pointer(path)
        if named not in self._recorded:
            self._recorded.add(named)
            self._status.added.append(named)

    def _record_before(self, path: Path, value: Any) -> None:
        named = pointer(path)
        if named not in self._recorded:
            self._recorded.add(named)
            self._status.before[named] = value


def _nested(path: Path, content: Any) -> Any:
    for token in reversed(path):
        content = {token: content}
    return content


def _fill(made: Any, path: Path, content: Any) -> None:
    for depth, token in enumerate(path, start=1):
        if token not in made:
            made[token] = _nested(path[depth:], content)
            return
        made = made[token]
    if isinstance(made, list):
        made.extend(content)
    else:
        made.update(content)


def emit(raw: JsonObject, plan: Plan) -> list[Operation]:
    """Return the operations that give a pod what it lacks of a plan; none where it lacks nothing."""
    old = plan.status or Status()
    workers = {worker.name: WorkerStatus(worker.mode.value, worker.framework) for worker in plan.workers}
    status = Status(
        workers=old.workers | workers, before=dict(old.before), added=list(old.added), created=dict(old.created)
    )
    patch = PodPatch(raw, status)
    _emit_spec(patch, plan)
    for key, value in plan.labels.items():
        patch.set(("metadata", "labels", key), value)
    for key, value in plan.annotations.items():
        patch.set(("metadata", "annotations", key), value)
    if not patch.operations and plan.status is not None:
        return []
    patch.set(("metadata", "labels", INJECTED_LABEL), "true")
    # The status stands for everything above, so the object that holds it is made and recorded first.
    patch.reach(("metadata", "annotations"), {})
    patch.set(("metadata", "annotations", STATUS_ANNOTATION), msgspec.json.encode(status).decode())
    return patch.operations


def _emit_spec(patch: PodPatch, plan: Plan) -> None:
    patch.append(("spec", "volumes"), SHARED_VOLUME)
    for name in plan.mounted:
        patch.append(("spec", "containers", name, "volumeMounts"), SHARED_MOUNT)
    for worker in plan.workers:
        if worker.wrapped:
            patch.set(("spec", "containers", worker.name, "command"), worker.wrapped.command)
            patch.set(("spec", "containers", worker.name, "args"), worker.wrapped.args)
    for name, command in plan.hooks.items():
        patch.set(("spec", "containers", name, "lifecycle", "preStop", "exec", "command"), command)
    patch.set(("spec", "terminationGracePeriodSeconds"), plan.grace)
    for probe in plan.probes:
        path = ("spec", probe.container_list, probe.container, probe.probe, "terminationGracePeriodSeconds")
        patch.set(path, probe.seconds)
