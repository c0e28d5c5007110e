"""Nodes of YAML text: their values, and their positions in the text."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_COMMENT = re.compile(r"(?:(?<=[\s,\[\]{}])|\A)#[^\r\n]*")


@dataclass(slots=True, eq=False)
class Scalar:
    """A scalar: its anchor or tag starts at `start`, and its text, after a block header, at `body`."""

    start: int
    body: int
    end: int
    data: Any
    style: str | None = None
    anchored: bool = False
    size: int = 1
    height: int = 1


@dataclass(slots=True, eq=False)
class Collection:
    """A mapping or sequence: its anchor or tag starts at `start`, its bracket or first entry at `body`.

    In block style, it ends with the last line that belongs to it, including trailing comments.
    """

    start: int
    body: int
    is_mapping: bool
    flow: bool
    column: int
    anchored: bool
    end: int = -1
    size: int = 1
    height: int = 1
    entries: list[Entry] = field(default_factory=list)

    @property
    def merge(self) -> Entry | None:
        """The entry of the merge key."""
        return next((entry for entry in self.entries if entry.merges), None)


@dataclass(slots=True, eq=False)
class Alias:
    """An alias, which repeats the content of an anchored node."""

    start: int
    end: int
    target: Scalar | Collection


Node = Scalar | Collection | Alias


@dataclass(slots=True, eq=False)
class Entry:
    """A key with its value, or an item of a sequence, from the key or dash on; in block style, with all its lines.

    After the colon or dash, the text continues at `after`. The key is `explicit` after a question mark.
    """

    start: int
    after: int
    end: int
    value: Node
    key: str | None = None
    key_node: Node | None = None
    explicit: bool = False
    merges: bool = False


@dataclass(slots=True)
class Document:
    """A document: its text from the first directive on, and its nodes; without a root if there are only comments."""

    text: str
    root: Node | None


def to_data(node: Node) -> Any:
    """Return a node as plain data, with a separate copy for every alias."""
    if isinstance(node, Alias):
        return to_data(node.target)
    if isinstance(node, Scalar):
        return node.data
    if not node.is_mapping:
        return [to_data(entry.value) for entry in node.entries]
    data = merge_key_data(node)
    for entry in node.entries:
        if entry.key is not None and not entry.merges:
            data[entry.key] = to_data(entry.value)
    return data


def merge_key_data(mapping: Collection) -> dict[str, Any]:
    """Return the keys from a mapping's merge key."""
    data: dict[str, Any] = {}
    if mapping.merge is not None:
        for source in reversed(merged_nodes(mapping.merge)):  # Earlier ones win.
            data |= to_data(source)
    return data


def merged_nodes(entry: Entry) -> list[Node]:
    """Return the mappings that a merge key names."""
    value = resolve_alias(entry.value)
    if isinstance(value, Collection) and not value.is_mapping:
        return [item.value for item in value.entries]
    return [value]


def is_block(node: Node) -> bool:
    """Tell whether a node is a collection in block style, or a block scalar."""
    return not node.flow if isinstance(node, Collection) else isinstance(node, Scalar) and node.style in ("|", ">")


def walk(node: Node) -> Iterator[Node]:
    """Yield all nodes of a tree, except keys, in order."""
    pending = [node]
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, Collection):
            pending += [entry.value for entry in reversed(node.entries)]


def find_comments(text: str, entry: Entry, start: int, end: int) -> list[re.Match[str]]:
    """Return the comments of an entry between two positions."""
    found: list[re.Match[str]] = []
    for scalar_start, scalar_end in (*_scalars(entry), (end, end)):
        if start <= scalar_start <= end:
            found += _COMMENT.finditer(text, start, scalar_start)
            start = scalar_end
    return found


def _scalars(entry: Entry) -> Iterator[tuple[int, int]]:
    pending = [entry]
    while pending:
        entry = pending.pop()
        if isinstance(entry.key_node, Scalar):
            yield entry.key_node.body, entry.key_node.end
        if isinstance(entry.value, Collection):
            pending += reversed(entry.value.entries)
        elif isinstance(entry.value, Scalar):
            yield entry.value.body, entry.value.end


def match_end(pattern: re.Pattern[str], text: str, start: int, limit: int = sys.maxsize) -> int:
    """Return where a match at a position ends; the position itself if there is none."""
    found = pattern.match(text, start, limit)
    return found.end() if found else start


def resolve_alias(node: Node) -> Scalar | Collection:
    """Return a node, or the target of an alias."""
    return node.target if isinstance(node, Alias) else node
