"""Moves an item between lists in block style as text, with its comments."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from webhook.yaml_patch.nodes import Alias, Collection, Document, Entry, Node, match_end, walk

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_LINE_BREAK = re.compile(r"\r\n?|\n")
_BLANK_LINES = re.compile(r"(?:[ \t]*(?:\r\n?|\n))*")
_ANCHOR_OR_TAG = re.compile(r"(?:[ \t]+[&!]\S*)*")


class Move(NamedTuple):
    """The text after the move, and the aliases, by the ids of their nodes, that cannot stay in it.

    They would precede their anchors, or their target has lost or gained the item.
    """

    text: str
    aliases: frozenset[int]


class _Span(NamedTuple):
    start: int
    end: int


class _Edit(NamedTuple):
    span: _Span
    text: str


@dataclass(frozen=True, slots=True)
class _List:
    """A list, the entry that contains it (if any), and the enclosing collections from the outside in."""

    node: Collection
    parent_entry: Entry | None
    ancestors: tuple[Collection, ...]


@dataclass(frozen=True, slots=True)
class _Item:
    """An item: its lines with comments, and the blank lines that separate it from its neighbour.

    The neighbour is the item above, or below for the first item.
    """

    lines: _Span
    gap: _Span


def move_item(document: Document, source_path: Sequence[str], target_path: Sequence[str]) -> Move | None:
    """Move an item in a text that ends with a line break; the target's path applies after the removal.

    Return None if more than the item's text would have to change. That is the case for values of mappings, in flow
    style, inside the target of an alias, and if another dash or question mark is on the line of the item's dash.
    """
    text, root = document.text, document.root
    if root is None or not source_path or not target_path:
        return None
    source = _find_list(root, source_path[:-1], None)
    if source is None or source.node.flow:
        return None
    entry = source.node.entries[int(source_path[-1])]
    target = _find_list(root, target_path[:-1], entry)
    item = _find_item(text, source, entry)
    if target is None or item is None:
        return None
    others = [other for other in target.node.entries if other is not entry]
    if not others and target.node is source.node:
        return Move(text, frozenset())
    emptying = _empty(text, source) if len(source.node.entries) == 1 else []
    if others:
        index = len(others) if target_path[-1] == "-" else int(target_path[-1])
        insertions = _insert(text, item, source, target, others, index)
    else:
        insertions = _fill(text, item, source, target)
    if emptying is None or insertions is None:
        return None
    cut = _Span(min(item.lines.start, item.gap.start), max(item.lines.end, item.gap.end))
    place = insertions[-1].span.start
    changed = {id(node) for node in (source.node, *source.ancestors, target.node, *target.ancestors)}
    broken = frozenset(
        id(node)
        for node in walk(root)
        if isinstance(node, Alias)
        and (id(node.target) in changed or _rank(node, cut, place) < _rank(node.target, cut, place))
    )
    return Move(_apply_edits(text, [*emptying, *insertions, _Edit(cut, "")]), broken)


def _find_list(root: Node, path: Sequence[str], without: Entry | None) -> _List | None:
    """Follow a path through collections in block style, ignoring one entry."""
    node: Node = root
    parent_entry: Entry | None = None
    ancestors: tuple[Collection, ...] = ()
    for token in path:
        if not isinstance(node, Collection) or node.flow:
            return None
        entries = [entry for entry in node.entries if entry is not without and not entry.merges]
        if node.is_mapping:
            entries = [entry for entry in entries if entry.key == token]
        if not entries:  # It comes from the merge key.
            return None
        parent_entry = entries[0] if node.is_mapping else entries[int(token)]
        ancestors, node = (*ancestors, node), parent_entry.value
    return _List(node, parent_entry, ancestors) if isinstance(node, Collection) and not node.is_mapping else None


def _find_item(text: str, source: _List, entry: Entry) -> _Item | None:
    """Return the text that moves with an item; None if its dash is not at the start of a line."""
    entries, column = source.node.entries, source.node.column
    is_first = entry is entries[0]
    line = _line_start(text, entry.start)
    if text[line : entry.start].strip(" "):
        return None
    above = _first_line(text, source) if is_first else entries[entries.index(entry) - 1].end
    # A comment that is indented more than the dash is about the item above.
    deepest = line if is_first else column
    start = _last_lines(text, _Span(above, line), lambda text: _is_comment(text) and _indentation(text) <= deepest)
    end = _comments_end(text, entry.end, column)
    if is_first and len(entries) > 1:
        return _Item(_Span(start, end), _Span(end, match_end(_BLANK_LINES, text, end)))
    return _Item(_Span(start, end), _Span(_last_lines(text, _Span(above, start), lambda text: not text.strip()), start))


def _line_start(text: str, position: int) -> int:
    return max(text.rfind("\n", 0, position), text.rfind("\r", 0, position)) + 1


def _first_line(text: str, where: _List) -> int:
    """Return the start of the lines that may be about the first item of a list."""
    body = where.node.body
    line_break = _LINE_BREAK.search(text, where.parent_entry.after, body) if where.parent_entry else None
    return line_break.end() if line_break else _line_start(text, body)


def _last_lines(text: str, above: _Span, belongs: Callable[[str], bool]) -> int:
    """Return the start of the lines at the end of a span that belong to what follows."""
    lines = takewhile(belongs, reversed(_LINE.findall(text, *above)))
    return above.end - sum(map(len, lines))


def _comments_end(text: str, position: int, column: int) -> int:
    """Return the end of the comments that follow an item and are indented more than its dash."""
    lines = (line.group() for line in _LINE.finditer(text, position))
    comments = takewhile(lambda line: _is_comment(line) and _indentation(line) > column, lines)
    return position + sum(map(len, comments))


def _is_comment(line: str) -> bool:
    return line.lstrip(" ").startswith("#")


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _empty(text: str, source: _List) -> list[_Edit] | None:
    """Return the edit that makes a list empty; None if it does not follow a key."""
    if source.parent_entry is None or source.parent_entry.key is None or source.parent_entry.explicit:
        return None
    place = match_end(_ANCHOR_OR_TAG, text, source.parent_entry.after)
    return [_Edit(_Span(place, place), " []")]


def _insert(
    text: str, item: _Item, source: _List, target: _List, others: Sequence[Entry], index: int
) -> list[_Edit] | None:
    """Return the edit that inserts an item; None in flow style, and before a dash within a line."""
    column = target.node.column
    lines, gap = _reindent(text, item, source.node.column, column), text[slice(*item.gap)]
    if target.node.flow:
        return None
    if index > 0:
        place = _comments_end(text, others[index - 1].end, column)
        return [_Edit(_Span(place, place), gap + lines)]
    below = _find_item(text, target, others[0])
    return [_Edit(_Span(below.lines.start, below.lines.start), lines + gap)] if below else None


def _fill(text: str, item: _Item, source: _List, target: _List) -> list[_Edit] | None:
    """Return the edits that add an item to an empty list; None if it is not on the line of its key.

    The dash is indented relative to the key as in the source.
    """
    parent_entry, node = target.parent_entry, target.node
    if parent_entry is None or parent_entry.key is None or parent_entry.explicit:
        return None
    between = text[parent_entry.after : node.body]
    if _LINE_BREAK.search(between) or _LINE_BREAK.search(text, node.body, node.end):
        return None
    column = target.ancestors[-1].column + (source.node.column - source.ancestors[-1].column if source.ancestors else 0)
    lines, gap = _reindent(text, item, source.node.column, column), text[slice(*item.gap)]
    brackets = _Span(parent_entry.after + len(between.rstrip(" \t")), node.end)
    return [_Edit(brackets, ""), _Edit(_Span(parent_entry.end, parent_entry.end), gap + lines)]


def _reindent(text: str, item: _Item, old: int, new: int) -> str:
    """Return the lines of an item at a new column; text left of the old column, such as comments, stays there."""
    lines = ""
    for match in _LINE.finditer(text, *item.lines):
        line = match.group()
        if line.strip("\r\n") and _indentation(line) >= old:
            line = " " * (new - old) + line[max(0, old - new) :]
        lines += line
    return lines


def _apply_edits(text: str, edits: Sequence[_Edit]) -> str:
    parts, position = [], 0
    for span, new in sorted(edits):
        parts += [text[position : span.start], new]
        position = span.end
    return "".join([*parts, text[position:]])


def _rank(node: Node, cut: _Span, place: int) -> tuple[int, int, int]:
    """Return where a node is after the move, as a key to sort by; an anchor has to come before its aliases."""
    return (place, 0, node.start) if cut.start <= node.start < cut.end else (node.start, 1, node.start)
