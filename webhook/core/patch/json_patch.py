"""JSON Patch (RFC 6902): collects the operations on a pod, and records in its status what they change.

Each field has two pointers: the one that the API server uses (list items by index), and the one in the status
annotation (list items by name), which stays valid if another webhook moves items.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from msgspec import UNSET

from webhook.core.pod import NO_METADATA, JsonObject, Pod
from webhook.core.status import CommandStatus, Status

Operation = dict[str, Any]


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

    def set(self, pointer: str, by_name: str, current: Any, value: Any) -> None:
        """Set a field; `current` is its value so far, UNSET if it is missing."""
        if current is UNSET:
            self.add(pointer, by_name, value)
        elif current != value:
            if by_name not in self._recorded:
                self._recorded.add(by_name)
                self._status.before[by_name] = current
            self.operations.append({"op": "replace", "path": pointer, "value": value})

    def add(self, pointer: str, by_name: str, value: Any) -> None:
        """Add a missing field or list item."""
        self.operations.append({"op": "add", "path": pointer, "value": value})
        self.record_added(by_name)

    def create(self, pointer: str, by_name: str, current: Any, content: Any) -> None:
        """Add an object or list that is missing (`current` is UNSET) or null."""
        self.operations.append({"op": "add", "path": pointer, "value": content})
        self._status.created.setdefault(by_name, "absent" if current is UNSET else "null")

    def replace(self, pointer: str, current: Any, value: Any) -> None:
        """Set a field to a value from which the previous value can be derived."""
        self.operations.append({"op": "add" if current is UNSET else "replace", "path": pointer, "value": value})

    def has_recorded_command(self, container: str) -> bool:
        """Tell whether a change of a command is recorded."""
        return container in self._status.commands or f"/spec/containers/{container}/command" in self._status.before

    def record_command(self, container: str, previous: str, edits: list[tuple[int, list[str], int]]) -> None:
        """Record that a command was wrapped or edited."""
        if f"/spec/containers/{container}/command" in self._status.before:
            # An earlier release recorded it with every word.
            return
        earlier = self._status.commands.get(container)
        if earlier:
            previous, edits = earlier.was, [*edits, *earlier.edits]
        self._status.commands[container] = CommandStatus(previous, edits)

    def has_recorded_hook(self, container: str) -> bool:
        """Tell whether a change of a hook is recorded."""
        hook = f"/spec/containers/{container}/lifecycle/preStop/exec/command"
        return container in self._status.hooks or hook in self._recorded

    def record_hook(self, container: str) -> None:
        """Record that a hook was wrapped."""
        if not self.has_recorded_hook(container):
            self._status.hooks.append(container)

    def append(
        self, pointer: str, by_name: str, current: Any, keys: Sequence[str], items: Sequence[tuple[str, JsonObject]]
    ) -> None:
        """Append items to a list, except those whose keys exist; create the list if it is missing or null."""
        if not isinstance(current, list):
            self.create(pointer, by_name, current, [item for _, item in items])
            for key, _ in items:
                self.record_added(f"{by_name}/{escape(key)}")
            return
        for key, item in items:
            if key not in keys:
                self.add(f"{pointer}/-", f"{by_name}/{escape(key)}", item)

    def record_added(self, by_name: str) -> None:
        """Record a field or item that did not exist."""
        if by_name not in self._recorded:
            self._recorded.add(by_name)
            self._status.added.append(by_name)


class MetadataPatch:
    """The part of a patch that sets labels and annotations, and creates the objects that hold them."""

    def __init__(self, patch: PodPatch, pod: Pod) -> None:
        metadata = pod.metadata or NO_METADATA
        self._patch = patch
        self._metadata = pod.metadata
        self._texts = {"labels": metadata.labels, "annotations": metadata.annotations}
        self._created: dict[str, dict[str, str]] = {}

    def set(self, field: str, key: str, value: str) -> None:
        """Set a label or an annotation."""
        pointer = f"/metadata/{field}/{escape(key)}"
        texts = self._texts[field]
        if isinstance(texts, dict):
            self._patch.set(pointer, pointer, texts.get(key, UNSET), value)
            return
        self.create(field)
        self._created[field][key] = value
        self._patch.record_added(pointer)

    def create(self, field: str) -> None:
        """Create the object that holds the labels or annotations if it is missing."""
        current = self._texts[field]
        if isinstance(current, dict) or field in self._created:
            return
        texts = self._created[field] = {}
        if self._metadata:
            self._patch.create(f"/metadata/{field}", f"/metadata/{field}", current, texts)
        elif len(self._created) == 1:
            # Later entries are added to this same object, which the operation refers to.
            self._new = {field: texts}
            self._patch.create("/metadata", "/metadata", self._metadata, self._new)
        else:
            self._new[field] = texts
