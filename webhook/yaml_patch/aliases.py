"""Replaces aliases, and merge keys, that can no longer stand for their anchored nodes by the values themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from webhook.yaml_patch.nodes import Alias, Collection, Node, Scalar, to_data, walk
from webhook.yaml_patch.patch import (
    PatchedCollection,
    PatchedMapping,
    Slot,
    children,
    expand_merge,
    is_changed,
    original_node,
    slots,
)


def expand_broken_aliases(root: Slot) -> None:
    """Write out every alias whose anchored node was changed or removed, with the original value."""
    intact = {id(node) for node in _intact_anchors(root)}
    _expand(root, lambda node: isinstance(node, Alias) and id(node.target) not in intact)


def expand_aliases(root: Slot, aliases: frozenset[int]) -> None:
    """Write out some aliases, by the ids of their nodes."""
    _expand(root, lambda node: id(node) in aliases)


def _expand(root: Slot, is_broken: Callable[[Node], bool]) -> None:
    for slot in list(slots(root)):
        if isinstance(slot.value, Alias) and is_broken(slot.value):
            slot.value = to_data(slot.value)
        elif isinstance(slot.value, PatchedMapping) and any(map(is_broken, _merge_nodes(slot.value))):
            expand_merge(slot.value)


def _intact_anchors(root: Slot) -> Iterator[Node]:
    """Yield the anchored nodes that are unchanged."""
    changed: set[int] = set()
    for slot in reversed(list(slots(root))):  # From the inside out.
        node = original_node(slot.value)
        if isinstance(slot.value, PatchedCollection):
            if is_changed(slot.value) or any(id(child) in changed for child in children(slot.value)):
                changed.add(id(slot))
            yield from _anchors_outside_values(slot.value)
        if isinstance(node, Scalar | Collection) and node.anchored and id(slot) not in changed:
            yield node


def _anchors_outside_values(patched: PatchedCollection) -> Iterator[Node]:
    """Yield the anchored nodes in keys, and after the merge key."""
    for key in (entry.key_node for entry in patched.node.entries):
        if isinstance(key, Scalar) and key.anchored:
            yield key
    yield from (node for node in _merge_nodes(patched) if not isinstance(node, Alias) and node.anchored)


def _merge_nodes(patched: PatchedCollection) -> Iterator[Node]:
    merge = patched.node.merge
    if merge is not None and isinstance(patched, PatchedMapping) and patched.expanded is None:
        yield from walk(merge.value)
