"""JSON Patch (RFC 6902): collects the operations on a pod, and records in its status what they change.

Each field has two pointers: the one that the API server uses (list items by index), and the one in the status
annotation (list items by name), which stays valid if another webhook moves items.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from msgspec import UNSET

from webhook.core.pod import NOTHING, JsonObject, Pod
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

    def set(self, at: str, named: str, current: Any, value: Any) -> None:
        """Set a field; `current` is its value so far, UNSET if it is missing."""
        if current is UNSET:
            self.add(at, named, value)
        elif current != value:
            if named not in self._recorded:
                self._recorded.add(named)
                self._status.before[named] = current
            self.operations.append({"op": "replace", "path": at, "value": value})

    def add(self, at: str, named: str, value: Any) -> None:
        """Add a missing field or list item."""
        self.operations.append({"op": "add", "path": at, "value": value})
        self.record_added(named)

    def make(self, at: str, named: str, current: Any, content: Any) -> None:
        """Add an object or list that is missing (`current` is UNSET) or null."""
        self.operations.append({"op": "add", "path": at, "value": content})
        self._status.created.setdefault(named, "absent" if current is UNSET else "null")

    def replace(self, at: str, current: Any, value: Any) -> None:
        """Set a field to a value from which the previous value can be derived."""
        self.operations.append({"op": "add" if current is UNSET else "replace", "path": at, "value": value})

    def knows_command(self, container: str) -> bool:
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
        self, at: str, named: str, current: Any, keys: Sequence[str], items: Sequence[tuple[str, JsonObject]]
    ) -> None:
        """Append items to a list, except those whose keys exist; create the list if it is missing or null."""
        if not isinstance(current, list):
            self.make(at, named, current, [item for _, item in items])
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
        self._texts = {"labels": metadata.labels, "annotations": metadata.annotations}
        self._made: dict[str, dict[str, str]] = {}

    def set(self, field: str, key: str, value: str) -> None:
        """Set a label or an annotation."""
        at = f"/metadata/{field}/{escape(key)}"
        texts = self._texts[field]
        if isinstance(texts, dict):
            self._patch.set(at, at, texts.get(key, UNSET), value)
            return
        self.make(field)
        self._made[field][key] = value
        self._patch.record_added(at)

    def make(self, field: str) -> None:
        """Create the object that holds the labels or annotations if it is missing."""
        current = self._texts[field]
        if isinstance(current, dict) or field in self._made:
            return
        texts = self._made[field] = {}
        if self._metadata:
            self._patch.make(f"/metadata/{field}", f"/metadata/{field}", current, texts)
        elif len(self._made) == 1:
            # Later entries are added to this same object, which the operation refers to.
            self._new = {field: texts}
            self._patch.make("/metadata", "/metadata", self._metadata, self._new)
        else:
            self._new[field] = texts
