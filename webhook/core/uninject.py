"""Undoes an injection: the operations that restore the original pod from its status annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from webhook import __version__
from webhook.core.annotations import STATUS_ANNOTATION
from webhook.core.errors import Malformed, Refused
from webhook.core.formatting import listed, quoted
from webhook.core.patch.json_patch import Operation, escape
from webhook.core.pod import JsonObject, check_names, read_pod
from webhook.core.reasons import Reason
from webhook.core.status import CommandStatus, Status, read_status, unknown_fields
from webhook.core.wrapper import find_wrapper, is_wrapped, remove_wrapper

Path = tuple[str, ...]


def restore(raw: JsonObject) -> list[Operation]:
    """Return the operations that undo an injection; none if the pod or pod template has no status annotation.

    Changes made to other fields since then are kept. Recorded items that no longer exist are skipped.

    Raises:
        Malformed: this is not a pod.
        Refused: the status annotation is not valid, or a newer version wrote it.

    """
    pod = read_pod(raw)
    check_names(pod)
    status = read_status(pod.annotations)
    if status is None:
        return []
    if unknown := unknown_fields(pod.annotations):
        detail = (
            f"annotation {STATUS_ANNOTATION} is of version {quoted(status.version)} and has fields that {__version__}"
            f" does not know ({listed(map(quoted, unknown))}); use that version or a later one"
        )
        raise Refused(Reason.ANNOTATION_INVALID, detail=detail)
    undo = _Undo(raw)
    undo.remove(("metadata", "annotations", STATUS_ANNOTATION))
    moved = status.moved or {}
    # First, undo changes made to sidecars after they became native; then move them back; then undo the earlier changes.
    later = [named for named in (*status.added, *status.before) if _is_of_native_sidecar(_path(named), moved)]
    undo.undo(status, later)
    # From the first index on, so that each index is valid when it is used.
    for name, place in sorted(moved.items(), key=lambda item: item[1]):
        undo.move_back(name, place)
    if later:
        undo.check()
    for name, command in status.commands.items():
        undo.undo_command(name, command)
    for name in status.hooks:
        undo.undo_hook(name)
    undo.undo(status, [named for named in (*status.added, *status.before) if named not in later])
    for named, was in sorted(status.created.items(), key=lambda item: -item[0].count("/")):
        undo.remove_if_empty(_path(named), was)
    return undo.operations


def _is_of_native_sidecar(path: Path, moved: Mapping[str, int]) -> bool:
    return path[:2] == ("spec", "initContainers") and len(path) > 2 and path[2] in moved


class _Undo:
    """Undoes step by step on a copy, because the indexes of each operation depend on those before it."""

    def __init__(self, raw: JsonObject) -> None:
        self.operations: list[Operation] = []
        self._pod = deepcopy(raw)

    def check(self) -> None:
        """Check that the recorded values make a pod: others can edit the annotation.

        Raises:
            Refused: they do not.

        """
        try:
            read_pod(self._pod)
        except Malformed as malformed:
            detail = f"annotation {STATUS_ANNOTATION} has values that make no pod: {malformed}"
            raise Refused(Reason.ANNOTATION_INVALID, detail=detail) from None

    def undo(self, status: Status, names: Sequence[str]) -> None:
        """Undo the recorded changes of some fields."""
        for named in names:
            if named in status.before:
                self.put_back(_path(named), status.before[named])
            else:
                self.remove(_path(named))

    def remove(self, path: Path) -> None:
        parent, key, at = self._locate(path)
        if key is not None:
            del parent[key]
            self.operations.append({"op": "remove", "path": at})

    def put_back(self, path: Path, value: Any) -> None:
        parent, key, at = self._locate(path)
        if not isinstance(parent, dict):
            return
        parent[path[-1]] = value
        self.operations.append({"op": "add" if key is None else "replace", "path": at, "value": value})

    def undo_command(self, name: str, status: CommandStatus) -> None:
        """Unwrap a command, and undo the edits of its words."""
        path = self._place_of(name)
        parent, key, _ = self._locate(path)
        if not isinstance(key, int) or not isinstance(parent[key], dict):
            return
        current = parent[key].get("command") or []
        found = find_wrapper(current)
        own = list(current[found[1] :] if found else current)
        args = list(parent[key].get("args") or [])
        for place, old, count in status.edits:
            part, index = (own, place) if place < len(own) else (args, place - len(own))
            part[index : index + count] = old
        if not found:
            # Another webhook may have put its own command in front, and all of this after it.
            args = remove_wrapper(args)
        before = current[: found[0]] if found else []
        if status.was and not before:
            if status.was == "null":
                self.put_back((*path, "command"), None)
            else:
                self.remove((*path, "command"))
        elif [*before, *own] != current:
            self.put_back((*path, "command"), [*before, *own])
        if args != (parent[key].get("args") or []):
            self.put_back((*path, "args"), args)

    def undo_hook(self, name: str) -> None:
        """Unwrap a hook."""
        path = (*self._place_of(name), "lifecycle", "preStop", "exec", "command")
        parent, key, _ = self._locate(path)
        if key is not None and isinstance(parent[key], list) and is_wrapped(parent[key]):
            self.put_back(path, remove_wrapper(parent[key]))

    def _place_of(self, name: str) -> Path:
        """Return the path of a container: among the regular ones, or as a native sidecar among the init containers."""
        path: Path = ("spec", "containers", name)
        return path if self._locate(path)[1] is not None else ("spec", "initContainers", name)

    def move_back(self, name: str, place: int) -> None:
        """Move a native sidecar back to the regular containers."""
        init_containers, key, at = self._locate(("spec", "initContainers", name))
        containers = self._pod.get("spec", {}).get("containers")
        if not isinstance(key, int) or not isinstance(containers, list):
            return
        place = min(max(place, 0), len(containers))
        containers.insert(place, init_containers.pop(key))
        self.operations.append({"op": "move", "from": at, "path": f"/spec/containers/{place}"})

    def remove_if_empty(self, path: Path, was: str) -> None:
        """Remove an object that was created for removed fields, unless something else was added to it."""
        parent, key, _ = self._locate(path)
        if key is None or not _is_empty(parent[key]):
            return
        if was == "null":
            self.put_back(path, None)
        else:
            self.remove(path)

    def _locate(self, path: Path) -> tuple[Any, str | int | None, str]:
        """Return the parent of a path, the key in it (None if it is missing), and the JSON Pointer."""
        parent: Any = self._pod
        at = ""
        for depth, token in enumerate(path, start=1):
            key: str | int | None
            if isinstance(parent, dict):
                key = token if token in parent else None
            elif isinstance(parent, list):
                key = _find_item(parent, "mountPath" if path[depth - 2] == "volumeMounts" else "name", token)
            else:
                return None, None, at
            at += f"/{escape(token if key is None else str(key))}"
            if depth == len(path):
                return parent, key, at
            if key is None:
                return None, None, at
            parent = parent[key]
        return None, None, at


def _path(named: str) -> Path:
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in named.split("/")[1:])


def _is_empty(value: Any) -> bool:
    """Tell whether only empty objects are left; an empty string or a zero is a value."""
    return all(map(_is_empty, value.values())) if isinstance(value, dict) else value == []


def _find_item(items: list[Any], key: str, value: str) -> int | None:
    return next((i for i, item in enumerate(items) if isinstance(item, dict) and item.get(key) == value), None)
