"""Nodes with the changes that JSON Patch operations make: which entries stay, go and come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import jsonpatch
from jsonpatch import JsonPointer

from webhook.yaml_patch.nodes import Alias, Collection, Entry, Node, Scalar, is_block, merge_key_data, to_data


@dataclass(slots=True, eq=False)
class Slot:
    """A slot for a value: that of an existing entry, or a new one.

    The value is an unchanged scalar or alias, a collection with its remaining entries, or new plain data.
    """

    entry: Entry | None
    value: Any


@dataclass(slots=True, eq=False)
class PatchedMapping:
    """A changed mapping; `expanded` are the keys written out from its merge key."""

    node: Collection
    slots: dict[str, Slot]
    merged: dict[str, Any]
    expanded: list[str] | None = None


@dataclass(slots=True, eq=False)
class PatchedSequence:
    """A changed sequence; `replaced` if all its items were set at once."""

    node: Collection
    slots: list[Slot]
    replaced: bool = False


PatchedCollection = PatchedMapping | PatchedSequence


@dataclass(frozen=True, slots=True)
class EntryChange:
    """An entry of a patched collection: one that stays, one that is removed (no slot), or a new one (no entry)."""

    entry: Entry | None
    slot: Slot | None
    key: str | None = None


def patch_node(root: Node, operations: Iterable[Mapping[str, Any]]) -> Slot:
    """Apply operations that are known to be applicable."""
    patched = Slot(None, _patched(root))
    for operation in operations:
        tokens = JsonPointer(operation["path"]).parts
        value = deepcopy(operation.get("value"))
        if not tokens:
            patched.value = _update(patched.value, value)
            continue
        slot = patched
        for token in tokens[:-1]:
            slot = _step(slot, token)
        _change(_open_collection(slot), tokens[-1], operation["op"], value)
    return patched


def slots(root: Slot) -> Iterator[Slot]:
    """Yield a slot and all slots in it, except those of new plain data."""
    pending = [root]
    while pending:
        slot = pending.pop()
        yield slot
        pending += children(slot.value)


def children(value: Any) -> list[Slot]:
    """Return the slots of an existing collection."""
    if isinstance(value, PatchedMapping):
        return list(value.slots.values())
    return value.slots if isinstance(value, PatchedSequence) else []


def entry_changes(patched: PatchedCollection) -> Iterator[EntryChange]:
    """Yield the entries of a collection, old and new, in writing order."""
    return _mapping_changes(patched) if isinstance(patched, PatchedMapping) else _sequence_changes(patched)


def _mapping_changes(mapping: PatchedMapping) -> Iterator[EntryChange]:
    expanded = mapping.expanded or []
    for entry in mapping.node.entries:
        if not entry.merges:
            slot = mapping.slots.get(str(entry.key))
            yield EntryChange(entry, slot if slot and slot.entry is entry else None)
        elif mapping.expanded is None:
            yield EntryChange(entry, Slot(entry, entry.value))
        else:
            yield EntryChange(entry, None)
            yield from (EntryChange(None, mapping.slots[key], key) for key in expanded if key in mapping.slots)
    for key, slot in mapping.slots.items():
        if slot.entry is None and key not in expanded:
            yield EntryChange(None, slot, key)


def _sequence_changes(sequence: PatchedSequence) -> Iterator[EntryChange]:
    rest = deque(sequence.slots)
    for entry in sequence.node.entries:
        while rest and rest[0].entry is None:
            yield EntryChange(None, rest.popleft())
        yield EntryChange(entry, rest.popleft() if rest and rest[0].entry is entry else None)
    yield from (EntryChange(None, slot) for slot in rest)


def is_changed(patched: PatchedCollection) -> bool:
    """Tell whether entries of a collection were added, removed or replaced; changes inside them do not count."""
    if isinstance(patched, PatchedMapping) and patched.expanded is not None:
        return True
    entries = [entry for entry in patched.node.entries if not entry.merges]
    current = children(patched)
    return len(entries) != len(current) or any(
        slot.entry is not entry or original_node(slot.value) is not entry.value
        for entry, slot in zip(entries, current, strict=True)
    )


def slot_data(value: Any) -> Any:
    """Return the value of a slot as plain data."""
    if isinstance(value, Scalar | Alias):
        return to_data(value)
    if isinstance(value, PatchedSequence):
        return [slot_data(slot.value) for slot in value.slots]
    if isinstance(value, PatchedMapping):
        merged = {} if value.expanded is not None else deepcopy(value.merged)
        return merged | {key: slot_data(slot.value) for key, slot in value.slots.items()}
    return value


def replace_open_block(root: Slot, end: int) -> None:
    """Turn a block scalar that ends the text without a line break into a new value."""
    for slot in slots(root):
        if isinstance(slot.value, Scalar) and is_block(slot.value) and slot.value.end == end:
            slot.value = slot.value.data


def expand_merge(mapping: PatchedMapping) -> None:
    """Copy the keys of a mapping's merge key into the mapping."""
    if mapping.expanded is None and mapping.node.merge is not None:
        mapping.expanded = [key for key in mapping.merged if key not in mapping.slots]
        for key in mapping.expanded:
            mapping.slots[key] = Slot(None, deepcopy(mapping.merged[key]))


def _patched(node: Node) -> Any:
    if not isinstance(node, Collection):
        return node
    entries = [Slot(entry, _patched(entry.value)) for entry in node.entries if not entry.merges]
    if not node.is_mapping:
        return PatchedSequence(node, entries)
    return PatchedMapping(node, {str(slot.entry.key): slot for slot in entries if slot.entry}, merge_key_data(node))


def original_node(value: Any) -> Any:
    """Return the node in a slot."""
    return value.node if isinstance(value, PatchedCollection) else value


def _open_collection(slot: Slot) -> Any:
    """Return the collection in a slot; an alias becomes a copy of its target."""
    if isinstance(slot.value, Alias):
        slot.value = to_data(slot.value)
    return slot.value


def _step(slot: Slot, token: str) -> Slot:
    container = _open_collection(slot)
    if isinstance(container, PatchedMapping):
        if token not in container.slots:  # The mapping's own key is placed before the merged one.
            container.slots[token] = Slot(None, deepcopy(container.merged[token]))
        return container.slots[token]
    if isinstance(container, PatchedSequence):
        return container.slots[int(token)]
    return Slot(None, container[token if isinstance(container, dict) else int(token)])


def _change(container: Any, token: str, kind: str, value: Any) -> None:
    if isinstance(container, PatchedMapping):
        _change_mapping(container, token, kind, value)
    elif isinstance(container, PatchedSequence):
        _change_sequence(container, token, kind, value)
    else:
        path = JsonPointer.from_parts([token]).path
        jsonpatch.apply_patch(container, [{"op": kind, "path": path, "value": value}], in_place=True)


def _change_mapping(mapping: PatchedMapping, key: str, kind: str, value: Any) -> None:
    if kind == "remove":
        if key in mapping.merged:
            expand_merge(mapping)
        del mapping.slots[key]
    elif key in mapping.slots:
        mapping.slots[key].value = _update(mapping.slots[key].value, value)
    else:
        # A key that was removed returns to its old place.
        entry = next((entry for entry in mapping.node.entries if entry.key == key and not entry.merges), None)
        mapping.slots[key] = Slot(entry, _update(_patched(entry.value), value) if entry else value)


def _change_sequence(sequence: PatchedSequence, index: str, kind: str, value: Any) -> None:
    position = len(sequence.slots) if index == "-" else int(index)
    if kind == "add":
        sequence.slots.insert(position, Slot(None, value))
    elif kind == "remove":
        del sequence.slots[position]
    else:
        sequence.slots[position].value = _update(sequence.slots[position].value, value)


def is_identical(one: Any, other: Any) -> bool:
    """Tell whether plain data are equal and of the same types; all string types count as one."""
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(map(is_identical, one.values(), (other[key] for key in one)))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_identical, one, other))
    return bool(one == other)


def _update(old: Any, new: Any) -> Any:
    """Return a new value for an old one, keeping what both have in common."""
    if isinstance(old, PatchedMapping) and isinstance(new, dict):
        return _update_mapping(old, new)
    if isinstance(old, PatchedSequence) and isinstance(new, list):
        return _update_sequence(old, new)
    return old if is_identical(slot_data(old), new) else new


def _update_mapping(old: PatchedMapping, new: dict[str, Any]) -> PatchedMapping:
    if old.merged.keys() - new.keys():
        expand_merge(old)
    for key in old.slots.keys() - new.keys():
        del old.slots[key]
    for key, value in new.items():
        if key in old.slots or key not in old.merged or not is_identical(old.merged[key], value):
            _change_mapping(old, key, "add", value)
    return old


def _update_sequence(old: PatchedSequence, new: list[Any]) -> Any:
    """Keep equal items at the beginning and at the end, and as many in between as there still are."""
    before = slot_data(old)
    old.replaced = old.replaced or not is_identical(before, new)
    head = 0
    while head < min(len(before), len(new)) and is_identical(before[head], new[head]):
        head += 1
    tail = 0
    while tail < min(len(before), len(new)) - head and is_identical(before[-1 - tail], new[-1 - tail]):
        tail += 1
    between = old.slots[head : len(before) - tail]
    values = new[head : len(new) - tail]
    for slot, value in zip(between, values, strict=False):
        slot.value = _update(slot.value, value)
    added = [Slot(None, value) for value in values[len(between) :]]
    old.slots[head + min(len(between), len(values)) : len(before) - tail] = added
    return old
