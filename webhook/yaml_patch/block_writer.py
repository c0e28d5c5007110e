"""Writes patched nodes as text: every unchanged line is copied."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from webhook.yaml_patch.flow_writer import FlowWriter
from webhook.yaml_patch.nodes import Collection, Document, Entry, Node, Scalar, find_comments, is_block, match_end
from webhook.yaml_patch.patch import PatchedCollection, PatchedSequence, Slot, children, entry_changes, slot_data
from webhook.yaml_patch.style import MAX_FLOW_WIDTH, Style

_LINE_END = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?:\r\n?|\n)?")
_LINE_BREAK = re.compile(r"\r\n?|\n")
_BLANK_START = re.compile(r"(?:[ \t]*(?:\r\n?|\n))* *")


def _join_lines(parts: Iterable[str], newline: str, *, continues_line: bool) -> str:
    """Join whole lines; the first one may continue a line that has already begun."""
    joined = ""
    for part in parts:
        if text := _BLANK_START.sub("", part, count=1) if continues_line else part:
            joined += newline + text if joined and joined[-1] not in "\r\n" else text
            continues_line = False
    return joined


class DocumentWriter:
    """Writes a patched document; collections in `rewritten` (ids of nodes) are written like new ones."""

    def __init__(self, document: Document, style: Style, rewritten: frozenset[int] = frozenset()) -> None:
        self._text = document.text
        self._style = style
        self._rewritten = rewritten
        self._flow = FlowWriter(document.text, style, rewritten)

    def write(self, root: Node, slot: Slot) -> str:
        """Return the text of the whole document."""
        value = slot.value
        if isinstance(value, PatchedCollection) and value.node is root and self._can_edit_entries(value):
            inside = self._flow.write(value) if value.node.flow else self._write_block(value, value.node.body)
            return self._text[: value.node.body] + inside + self._text[value.node.end :]
        return self._text if value is root else self._write_new_root(root, slot_data(value))

    def _write_new_root(self, root: Node, value: Any) -> str:
        """Return the text with a root that has nothing in common with the old one."""
        text, newline = self._text, self._style.newline
        is_block = bool(value) and isinstance(value, dict | list)
        root_entry = Entry(root.start, root.start, root.end, root)
        if not is_block and root.start < root.end and self._is_single_line(root_entry):
            return text[: root.start] + self._style.flow(value) + text[root.end :]
        if not isinstance(root, Collection) or root.flow:  # Its trailing comment is kept.
            root_entry.end = match_end(_LINE_END, text, root.end)
        lines = self._comment_lines(root_entry, root.start, 0)
        lines = lines + self._style.block(value, 0) if is_block else self._style.flow(value) + newline + lines
        head = text[: root.start].rstrip(" ")
        if head.strip("\ufeff") and head[-1] not in "\r\n":
            head += newline
        return head + lines + text[root_entry.end :]

    def _can_edit_entries(self, value: PatchedCollection) -> bool:
        """Tell whether a collection can be edited entry by entry."""
        if id(value.node) in self._rewritten or not value.node.entries:
            return False
        return bool(children(value)) or any(change.slot for change in entry_changes(value))

    def _write_block(self, patched: PatchedCollection, start: int) -> str:
        """Return the lines of a collection in block style, from a position before its first entry on."""
        node = patched.node
        parts: list[str] = []
        margin = " " * node.column
        position = start
        for change in entry_changes(patched):
            entry, slot = change.entry, change.slot
            if entry is not None:
                gap, position = self._text[position : entry.start] or margin, entry.end
                if slot is not None:
                    parts.append(gap + self._write_entry(entry, slot, node.column))
                else:
                    parts.append(gap.rstrip(" ") if gap.strip() else "")
                    parts.append(self._comment_lines(entry, entry.start, node.column))
                if entry is node.entries[-1]:
                    parts.append(self._text[position : node.end])
            elif slot is not None:
                prefix = self._style.prefix(change.key)
                parts.append(margin + self._style.entry(prefix, slot_data(slot.value), node.column))
        continues_line = self._text[start - 1 : start] not in ("", "\n", "\r")
        return _join_lines(parts, self._style.newline, continues_line=continues_line)

    def _comment_lines(self, entry: Entry, start: int, column: int) -> str:
        """Return the comments of an entry from a position on, on separate lines."""
        found = find_comments(self._text, entry, start, entry.end)
        return "".join(f"{' ' * column}{comment.group()}{self._style.newline}" for comment in found)

    def _write_entry(self, entry: Entry, slot: Slot, column: int) -> str:
        """Return an entry, with all its lines."""
        text, node, value = self._text, entry.value, slot.value
        if value is node or (isinstance(value, PatchedCollection) and not (value.node.entries or children(value))):
            return text[entry.start : entry.end]
        if not isinstance(value, PatchedCollection) or not self._can_edit_entries(value):
            return self._replace_value(entry, slot_data(value), column)
        if not value.node.flow:
            start = self._first_line_after(entry, value.node)
            return text[entry.start : start] + self._write_block(value, start)
        if isinstance(value, PatchedSequence) and value.replaced:
            return self._replace_flow_list(entry, value, column)
        return text[entry.start : value.node.body] + self._flow.write(value) + text[value.node.end : entry.end]

    def _replace_flow_list(self, entry: Entry, value: PatchedSequence, column: int) -> str:
        """Return an entry whose flow list has new items: on one line if they fit, else in block style."""
        text, node = self._text, value.node
        items = slot_data(value)
        before, after = text[entry.start : node.body], text[node.end : entry.end]
        is_one_line_now = not _LINE_BREAK.search(text, entry.start, node.end)
        strings = all(isinstance(item, str) for item in items)
        new = self._style.flow(items) if strings and is_one_line_now else self._flow.write(value)
        too_wide = is_one_line_now and column + len(before) + len(new) > MAX_FLOW_WIDTH
        if too_wide or any(isinstance(item, str) and "\n" in item for item in items):
            return self._replace_value(entry, items, column)
        return before + new + after

    def _replace_value(self, entry: Entry, value: Any, column: int) -> str:
        """Return an entry with a new value."""
        text, node = self._text, entry.value
        like = node.style if isinstance(node, Scalar) and isinstance(value, str) and node.style in ("'", '"') else None
        new = self._style.inline(value, like)
        on_line = self._is_single_line(entry)
        if new is not None and on_line and not entry.explicit:
            between = text[entry.after : node.start] or " "
            return text[entry.start : entry.after] + between + new + text[node.end : entry.end]
        if entry.explicit:
            lines = self._comment_lines(entry, entry.start, column)
            return self._style.entry(self._style.prefix(entry.key), value, column) + lines
        first, rest = "", entry.after
        found = find_comments(text, entry, entry.after, entry.end)
        if found and (on_line or not _LINE_BREAK.search(text, entry.after, found[0].start())):
            first, rest = found[0].group(), found[0].end()
        prefix = text[entry.start : entry.after]
        return self._style.entry(prefix, value, column, first) + self._comment_lines(entry, rest, column)

    def _is_single_line(self, entry: Entry) -> bool:
        """Tell whether the value of an entry begins and ends on the line of its key or dash."""
        node = entry.value
        return not is_block(node) and not _LINE_BREAK.search(self._text, entry.after, node.end)

    def _first_line_after(self, entry: Entry, node: Collection) -> int:
        """Return the start of the first line after a key or dash; of the first entry if it is on the same line."""
        line_break = _LINE_BREAK.search(self._text, node.start if node.start < node.body else entry.after, node.body)
        return line_break.end() if line_break else node.body
