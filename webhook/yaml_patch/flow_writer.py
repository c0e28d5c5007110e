"""Turns changed flow collections into text: every unchanged item is copied, with its comments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from webhook.yaml_patch.nodes import Collection, Entry, Node, Scalar, find_comments, match_end
from webhook.yaml_patch.patch import PatchedCollection, Slot, children, entry_changes, slot_data
from webhook.yaml_patch.scalars import is_one_line, single_quoted
from webhook.yaml_patch.style import Style, Unquoted, detect_unquoted

_GAP = re.compile(r"(?:\s+|#[^\r\n]*)*")
_COMMENT_AFTER = re.compile(r"(?:[ \t]*#[^\r\n]*)?")
_COMMENT = re.compile(r"#[^\r\n]*")
_NEW_LINE = re.compile(r"[ \t]*[\r\n]")


@dataclass(slots=True)
class _Item:
    """An entry: the text before it, itself, the text up to its comma, and the comment after that."""

    lead: str
    body: str
    trail: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class FlowWriter:
    """Writes the flow collections of a text; those in `rewritten` (ids of nodes) are written like new ones."""

    text: str
    style: Style
    rewritten: frozenset[int] = frozenset()

    def write(self, patched: PatchedCollection) -> str:
        """Return a collection that had entries, including brackets."""
        node = patched.node
        unquoted, slots = detect_unquoted(node), children(patched)
        if id(node) not in self.rewritten:
            if self.text[node.body] in "[{":
                return self._write_items(patched, unquoted)
            if len(slots) == 1 and slots[0].entry is node.entries[0]:  # In a sequence, a single pair needs no brackets.
                return self._write_entry(slots[0].entry, slots[0], unquoted)[0]
        return self.style.flow(slot_data(patched), unquoted)

    def _write_items(self, patched: PatchedCollection, unquoted: Unquoted) -> str:
        node = patched.node
        start, originals, end, comma = self._items(node)
        layout = _Layout.of(node, list(originals.values()), self.style.newline)
        items: list[_Item] = []
        carried: list[str] = []
        for change in entry_changes(patched):
            if change.slot is None:
                carried += self._comments_of(change.entry, originals)
                continue
            if change.entry is None:
                item = _Item(layout.lead(is_first=not items), self._write_new(change.key, change.slot, unquoted))
                left: list[str] = []
            else:
                item = originals[id(change.entry)]
                if (change.entry is node.entries[0]) != (not items):
                    item.lead = layout.moved(item.lead, is_first=not items)
                item.body, left = self._write_entry(change.entry, change.slot, unquoted)
            item.lead = layout.after_comments(carried, item.lead)
            carried = left
            items.append(item)
        end = layout.after_comments(carried, end if items or "#" in end or carried else "")
        return layout.joined(start, items, end, comma) + self.text[node.end - 1]

    def _items(self, node: Collection) -> tuple[str, dict[int, _Item], str, str]:
        """Return the start of a collection, its items by the ids of their entries, its end, and a trailing comma."""
        text, close = self.text, node.end - 1
        items: dict[int, _Item] = {}
        start = position = match_end(_COMMENT_AFTER, text, node.body + 1, close)
        comma = ""
        for entry in node.entries:
            stop = match_end(_GAP, text, entry.end, close)
            comma = text[stop:close][:1]
            trail = text[entry.end : stop] if comma else ""
            item = _Item(text[position : entry.start], text[entry.start : entry.end], trail)
            after = stop + 1 if comma else entry.end
            position = match_end(_COMMENT_AFTER, text, after, close)
            item.comment = text[after:position]
            items[id(entry)] = item
        return text[node.body : start], items, text[position:close], comma

    def _comments_of(self, entry: Entry | None, items: dict[int, _Item]) -> list[str]:
        """Return the comments of a removed entry."""
        if entry is None:
            return []
        item = items[id(entry)]
        inside = [comment.group() for comment in find_comments(self.text, entry, entry.start, entry.end)]
        return [*_COMMENT.findall(item.lead), *inside, *_COMMENT.findall(item.trail), *_COMMENT.findall(item.comment)]

    def _write_new(self, key: str | None, slot: Slot, unquoted: Unquoted) -> str:
        value = slot_data(slot.value)
        return self.style.flow(value, unquoted) if key is None else self.style.flow_pair(key, value, unquoted)

    def _write_entry(self, entry: Entry, slot: Slot, unquoted: Unquoted) -> tuple[str, list[str]]:
        """Return an entry, and the comments that no longer fit into it."""
        text, node, value = self.text, entry.value, slot.value
        if value is node or (isinstance(value, PatchedCollection) and not (value.node.entries or children(value))):
            return text[entry.start : entry.end], []
        if isinstance(value, PatchedCollection) and value.node.entries:
            return text[entry.start : value.node.body] + self.write(value) + text[value.node.end : entry.end], []
        left = [comment.group() for comment in find_comments(text, entry, entry.after, entry.end)]
        written = self._write_value(node, slot_data(value), unquoted)
        if entry.key is None:
            return written, left
        key = text[entry.start : entry.after]
        return f"{key if key.endswith(':') else key + ':'}{text[entry.after : node.start] or ' '}{written}", left

    def _write_value(self, node: Node, value: Any, unquoted: Unquoted) -> str:
        """Return a new value for a node, with its previous quotes."""
        if isinstance(node, Scalar) and isinstance(node.data, str):
            if node.style == "'" and isinstance(value, str) and is_one_line(value):
                return single_quoted(value)
            unquoted = Unquoted(unquoted.keys, node.style is None)
        return self.style.flow(value, unquoted)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The text before the items of a flow collection."""

    first: str
    others: str
    line: str

    @classmethod
    def of(cls, node: Collection, items: list[_Item], newline: str) -> _Layout:
        first = _without_comments(items[0].lead)
        alone = first if "\n" in first else " "
        others = next((item.lead for item in items[1:] if "#" not in item.lead), None)
        others = _without_comments(items[-1].lead) if others is None and len(items) > 1 else others or alone
        return cls(first, others, others if "\n" in others else newline + " " * (node.column + 1))

    def lead(self, *, is_first: bool) -> str:
        """Return the text before a new item."""
        return self.first if is_first else self.others

    def moved(self, lead: str, *, is_first: bool) -> str:
        """Return the text before an item that has become the first one, or no longer is."""
        return lead if "#" in lead or "\n" in lead else self.lead(is_first=is_first)

    def after_comments(self, comments: list[str], text: str) -> str:
        """Put comments on separate lines before a text."""
        if not comments:
            return text
        return "".join(self.line + comment for comment in comments) + self._on_new_line(text)

    def joined(self, opening: str, items: list[_Item], end: str, comma: str) -> str:
        """Join items with commas, and add a trailing comma if there was one."""
        text, is_in_comment = opening, "#" in opening
        for position, item in enumerate(items):
            lead = self._on_new_line(item.lead) if is_in_comment else item.lead
            separator = "," if position + 1 < len(items) else comma
            text += lead + item.body + item.trail + separator + item.comment
            is_in_comment = bool(item.comment)
        return text + (self._on_new_line(end) if is_in_comment else end)

    def _on_new_line(self, text: str) -> str:
        return text if _NEW_LINE.match(text) else self.line + text.lstrip(" \t")


def _without_comments(lead: str) -> str:
    *lines, last = lead.splitlines(keepends=True) or [""]
    if not lines:
        return "" if "#" in last else last
    return ("\r\n" if lines[-1].endswith("\r\n") else "\n") + last
