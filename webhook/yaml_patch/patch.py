"""A draft: nodes of a text, with the changes made by JSON Patch operations."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from webhook.yaml_patch.nodes import (
    Alias,
    Collection,
    Entry,
    Node,
    Scalar,
    merged,
    nodes,
    plain,
)


@dataclass(slots=True, eq=False)
class Slot:
    """A slot for a value: that of an existing entry, or a new one.

    The value is an unchanged scalar or alias, a collection with its remaining entries, or new plain data.
    """

    entry: Entry | None
    value: Any


@dataclass(slots=True, eq=False)
class DraftMapping:
    """A changed mapping; `expanded` are the keys written out from its merge key."""

    node: Collection
    slots: dict[str, Slot]
    merged: dict[str, Any]
    expanded: list[str] | None = None


@dataclass(slots=True, eq=False)
class DraftSequence:
    """A changed sequence; `replaced` if all its items were set at once."""

    node: Collection
    slots: list[Slot]
    replaced: bool = False


Draft = DraftMapping | DraftSequence


@dataclass(frozen=True, slots=True)
class Place:
    """An entry in a draft: one that stays, one that is removed (no slot), or a new one (no entry)."""

    entry: Entry | None
    slot: Slot | None
    key: str | None = None


class DocumentDraft:
    """A document to apply operations to."""

    def __init__(self, root: Node) -> None:
        self.root = Slot(None, _draft(root))

    def apply(self, operation: Mapping[str, Any]) -> None:
        """Apply one operation that is known to be applicable."""
        tokens = tokens_of(operation["path"])
        value = deepcopy(operation.get("value"))
        if not tokens:
            self.root.value = _updated(self.root.value, value)
            return
        slot = self.root
        for token in tokens[:-1]:
            slot = _step(slot, token)
        _change(_opened(slot), tokens[-1], operation["op"], value)

    def settle(self) -> None:
        """Write out every alias whose anchored node was changed or removed, with the original value."""
        intact = {id(node) for node in _intact_anchors(self.root)}
        for slot in list(slots(self.root)):
            if isinstance(slot.value, Alias) and id(slot.value.target) not in intact:
                slot.value = plain(slot.value)
            elif isinstance(slot.value, DraftMapping) and not intact.issuperset(_merged_anchors(slot.value)):
                expand_merge(slot.value)

    def write_out(self, aliases: frozenset[int]) -> None:
        """Write out some aliases, by the ids of their nodes."""
        for slot in list(slots(self.root)):
            if isinstance(slot.value, Alias) and id(slot.value) in aliases:
                slot.value = plain(slot.value)
            elif isinstance(slot.value, DraftMapping) and any(id(node) in aliases for node in _merge_nodes(slot.value)):
                expand_merge(slot.value)


def tokens_of(pointer: str) -> list[str]:
    """Split a JSON Pointer."""
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def slots(root: Slot) -> Iterator[Slot]:
    """Yield a slot and all slots in it, except those of new plain data."""
    pending = [root]
    while pending:
        slot = pending.pop()
        yield slot
        pending += children(slot.value)


def children(value: Any) -> list[Slot]:
    """Return the slots of an existing collection."""
    if isinstance(value, DraftMapping):
        return list(value.slots.values())
    return value.slots if isinstance(value, DraftSequence) else []


def places(draft: Draft) -> Iterator[Place]:
    """Yield the entries of a collection, old and new, in writing order."""
    return _mapping_places(draft) if isinstance(draft, DraftMapping) else _sequence_places(draft)


def _mapping_places(mapping: DraftMapping) -> Iterator[Place]:
    expanded = mapping.expanded or []
    for entry in mapping.node.entries:
        if not entry.merges:
            slot = mapping.slots.get(str(entry.key))
            yield Place(entry, slot if slot and slot.entry is entry else None)
        elif mapping.expanded is None:
            yield Place(entry, Slot(entry, entry.value))
        else:
            yield Place(entry, None)
            yield from (Place(None, mapping.slots[key], key) for key in expanded if key in mapping.slots)
    for key, slot in mapping.slots.items():
        if slot.entry is None and key not in expanded:
            yield Place(None, slot, key)


def _sequence_places(sequence: DraftSequence) -> Iterator[Place]:
    rest = deque(sequence.slots)
    for entry in sequence.node.entries:
        while rest and rest[0].entry is None:
            yield Place(None, rest.popleft())
        yield Place(entry, rest.popleft() if rest and rest[0].entry is entry else None)
    yield from (Place(None, slot) for slot in rest)


def is_changed(draft: Draft) -> bool:
    """Tell whether entries of a collection were added, removed or replaced; changes inside them do not count."""
    if isinstance(draft, DraftMapping) and draft.expanded is not None:
        return True
    entries = [entry for entry in draft.node.entries if not entry.merges]
    current = children(draft)
    return len(entries) != len(current) or any(
        slot.entry is not entry or _node(slot.value) is not entry.value
        for entry, slot in zip(entries, current, strict=True)
    )


def data(value: Any) -> Any:
    """Return the value of a slot as plain data."""
    if isinstance(value, Scalar | Alias):
        return plain(value)
    if isinstance(value, DraftSequence):
        items = []
        for slot in value.slots:  # A comprehension would need twice the stack.
            items.append(data(slot.value))
        return items
    if isinstance(value, DraftMapping):
        pairs = {} if value.expanded is not None else deepcopy(value.merged)
        for key, slot in value.slots.items():
            pairs[key] = data(slot.value)
        return pairs
    return value


def write_out_open_block(root: Slot, end: int) -> None:
    """Turn a block scalar that ends the text without a line break into a new value."""
    for slot in slots(root):
        if isinstance(slot.value, Scalar) and slot.value.style in ("|", ">") and slot.value.end == end:
            slot.value = slot.value.data


def expand_merge(mapping: DraftMapping) -> None:
    """Copy the keys of a mapping's merge key into the mapping."""
    if mapping.expanded is None and mapping.node.merge is not None:
        mapping.expanded = [key for key in mapping.merged if key not in mapping.slots]
        for key in mapping.expanded:
            mapping.slots[key] = Slot(None, deepcopy(mapping.merged[key]))


def _draft(node: Node) -> Any:
    if not isinstance(node, Collection):
        return node
    entries = []
    for entry in node.entries:  # A comprehension would need twice the stack.
        if not entry.merges:
            entries.append(Slot(entry, _draft(entry.value)))
    if not node.is_mapping:
        return DraftSequence(node, entries)
    return DraftMapping(node, {str(slot.entry.key): slot for slot in entries if slot.entry}, merged(node))


def _node(value: Any) -> Any:
    return value.node if isinstance(value, Draft) else value


def _opened(slot: Slot) -> Any:
    """Return the collection in a slot; an alias becomes a copy of its target."""
    if isinstance(slot.value, Alias):
        slot.value = plain(slot.value)
    return slot.value


def _step(slot: Slot, token: str) -> Slot:
    container = _opened(slot)
    if isinstance(container, DraftMapping):
        if token not in container.slots:  # The mapping's own key is placed before the merged one.
            container.slots[token] = Slot(None, deepcopy(container.merged[token]))
        return container.slots[token]
    if isinstance(container, DraftSequence):
        return container.slots[int(token)]
    return Slot(None, container[token if isinstance(container, dict) else int(token)])


def _change(container: Any, token: str, kind: str, value: Any) -> None:
    if isinstance(container, DraftMapping):
        _change_mapping(container, token, kind, value)
    elif isinstance(container, DraftSequence):
        _change_sequence(container, token, kind, value)
    elif isinstance(container, dict):
        if kind == "remove":
            del container[token]
        else:
            container[token] = value
    else:
        position = _position(token, container)
        container[position : position + (kind != "add")] = [] if kind == "remove" else [value]


def _change_mapping(mapping: DraftMapping, key: str, kind: str, value: Any) -> None:
    if kind == "remove":
        if key in mapping.merged:
            expand_merge(mapping)
        del mapping.slots[key]
    elif key in mapping.slots:
        mapping.slots[key].value = _updated(mapping.slots[key].value, value)
    else:
        # A key that was removed returns to its old place.
        entry = next((entry for entry in mapping.node.entries if entry.key == key and not entry.merges), None)
        mapping.slots[key] = Slot(entry, _updated(_draft(entry.value), value) if entry else value)


def _change_sequence(sequence: DraftSequence, token: str, kind: str, value: Any) -> None:
    position = _position(token, sequence.slots)
    if kind == "add":
        sequence.slots.insert(position, Slot(None, value))
    elif kind == "remove":
        del sequence.slots[position]
    else:
        sequence.slots[position].value = _updated(sequence.slots[position].value, value)


def _position(index: str, items: list[Any]) -> int:
    return len(items) if index == "-" else int(index)


def same(one: Any, other: Any) -> bool:
    """Tell whether plain data are equal and of the same types; all string types count as one."""
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(map(same, one.values(), (other[key] for key in one)))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _updated(old: Any, new: Any) -> Any:
    """Return a new value for an old one, keeping what both have in common."""
    if isinstance(old, DraftMapping) and isinstance(new, dict):
        return _updated_mapping(old, new)
    if isinstance(old, DraftSequence) and isinstance(new, list):
        return _updated_sequence(old, new)
    return old if same(data(old), new) else new


def _updated_mapping(old: DraftMapping, new: dict[str, Any]) -> DraftMapping:
    if old.merged.keys() - new.keys():
        expand_merge(old)
    for key in old.slots.keys() - new.keys():
        del old.slots[key]
    for key, value in new.items():
        if key in old.slots or key not in old.merged or not same(old.merged[key], value):
            _change_mapping(old, key, "add", value)
    return old


def _updated_sequence(old: DraftSequence, new: list[Any]) -> Any:
    """Keep equal items at the beginning and at the end, and as many in between as there still are."""
    before = data(old)
    old.replaced = old.replaced or not same(before, new)
    head = 0
    while head < min(len(before), len(new)) and same(before[head], new[head]):
        head += 1
    tail = 0
    while tail < min(len(before), len(new)) - head and same(before[-1 - tail], new[-1 - tail]):
        tail += 1
    between = old.slots[head : len(before) - tail]
    values = new[head : len(new) - tail]
    for slot, value in zip(between, values, strict=False):
        slot.value = _updated(slot.value, value)
    added = [Slot(None, value) for value in values[len(between) :]]
    old.slots[head + min(len(between), len(values)) : len(before) - tail] = added
    return old


def _intact_anchors(root: Slot) -> Iterator[Node]:
    """Yield the anchored nodes that are unchanged."""
    changed: set[int] = set()
    for slot in reversed(list(slots(root))):  # From the inside out.
        node = _node(slot.value)
        if isinstance(slot.value, Draft):
            if is_changed(slot.value) or any(id(child) in changed for child in children(slot.value)):
                changed.add(id(slot))
            yield from _anchored_elsewhere(slot.value)
        if isinstance(node, Scalar | Collection) and node.anchored and id(slot) not in changed:
            yield node


def _anchored_elsewhere(draft: Draft) -> Iterator[Node]:
    """Yield the anchored nodes in keys, and after the merge key."""
    for key in (entry.key_node for entry in draft.node.entries):
        if isinstance(key, Scalar) and key.anchored:
            yield key
    yield from (node for node in _merge_nodes(draft) if not isinstance(node, Alias) and node.anchored)


def _merged_anchors(mapping: DraftMapping) -> set[int]:
    return {id(node.target) for node in _merge_nodes(mapping) if isinstance(node, Alias)}


def _merge_nodes(draft: Draft) -> Iterator[Node]:
    merge = draft.node.merge
    if merge is not None and isinstance(draft, DraftMapping) and draft.expanded is None:
        yield from nodes(merge.value)
