"""Parses YAML text, with the meaning that go-yaml v2 gives it, into nodes with positions."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, MappingStartEvent, NodeEvent
from ruamel.yaml.reader import ReaderError

from webhook.yaml_patch.errors import InvalidYaml
from webhook.yaml_patch.nodes import (
    Alias,
    Collection,
    Document,
    Entry,
    Node,
    Scalar,
    is_block,
    match_end,
    merged_nodes,
    resolve_alias,
    to_data,
)
from webhook.yaml_patch.scalars import parse_plain_scalar
from webhook.yaml_patch.scanner import LenientScanner

MAX_DEPTH = 200
MAX_ALIASED_NODES = 1_000_000
_LINE_END = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?:\r\n?|\n)?")
_BREAK = re.compile(r"\r\n?|\n")
_GAP = re.compile(r"(?:[ \t\r\n]+|#[^\r\n]*)*")
_COMMENT_LINES = re.compile(r"(?:[ \t]*(?:\r\n?|\n))*( *)#[^\r\n]*(?:\r\n?|\n|\Z)")
_BLOCK_HEADER = re.compile(r"(?<![^\s:\-?])([|>][0-9+-]*)[^\r\n]*(?:\r\n?|\n)?")
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_MARKER = re.compile(r"^(?:---|\.\.\.)(?=\s|\Z)", re.MULTILINE)
_PREAMBLE = re.compile(r"\ufeff?(?:(?:[ \t]*(?:#[^\n]*)?|%[^\n]*|[ \t]*\r)\n)*")
_TAG = "tag:yaml.org,2002:"


def parse_document(text: str) -> Document:
    """Read the text of at most one document.

    Raises:
        InvalidYaml: the text is not YAML, or has no single meaning as JSON.

    """
    try:
        return Document(text, _Composer(text).compose())
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _error_at(text, mark.index if mark else 0, error.problem or error.context or "not YAML") from None
    except ReaderError as error:
        raise _error_at(text, error.position, f"the character #x{error.character:04x} is not allowed") from None


def split_documents(text: str) -> list[str]:
    """Split a stream where its documents start, including preceding directives and comments."""
    # No scalar can contain such a line: a marker ends everything that is open.
    pieces, start = [], 0
    for marker in _MARKER.finditer(text):
        if marker.group() == "...":
            cut = text.find("\n", marker.end()) + 1 or len(text)
        elif _PREAMBLE.fullmatch(text, start, marker.start()):
            continue
        else:
            cut = marker.start()
        pieces.append(text[start:cut])
        start = cut
    return [*pieces, text[start:]] if start < len(text) else pieces


def _error_at(text: str, index: int, problem: str) -> InvalidYaml:
    breaks = list(_BREAK.finditer(text, 0, index))
    return InvalidYaml(len(breaks), index - (breaks[-1].end() if breaks else 0), problem)


class _Composer:
    """Builds nodes from a parser's events."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._events = self._parse()
        self._anchors: dict[str, Scalar | Collection] = {}
        self._depth = 0
        self._aliased = 0

    def compose(self) -> Node | None:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, NodeEvent):
                if root is not None:
                    raise self._error(event, "a second document starts here")
                root = self._read_node(event)
        return root

    def _parse(self) -> Iterator[Any]:
        parser = YAML(typ="safe", pure=True)
        parser.Scanner = LenientScanner
        try:
            yield from parser.parse(self._text)
        except (ValueError, OverflowError, AssertionError, LookupError, TypeError, AttributeError) as error:
            # The parser accepts some invalid escapes, versions and tags.
            raise _error_at(self._text, 0, f"not YAML: {error}") from None

    def _error(self, event: Any, problem: str) -> InvalidYaml:
        return _error_at(self._text, event.start_mark.index, problem)

    def _read_node(self, event: Any) -> Node:
        if isinstance(event, AliasEvent):
            return self._read_alias(event)
        if isinstance(event, CollectionStartEvent):
            return self._read_collection(event)
        node = self._read_scalar(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _read_alias(self, event: Any) -> Alias:
        target = self._anchors.get(event.anchor)
        if target is None:
            raise self._error(event, f"no anchor {event.anchor!r} is defined before this alias")
        if target.end < 0:
            raise self._error(event, f"the alias {event.anchor!r} is inside the node that it repeats")
        self._aliased += target.size
        if self._aliased > MAX_ALIASED_NODES:
            raise self._error(event, f"aliases repeat more than {MAX_ALIASED_NODES} values")
        if self._depth + target.height > MAX_DEPTH:
            raise self._error(event, f"nested more than {MAX_DEPTH} levels deep")
        return Alias(event.start_mark.index, event.end_mark.index, target)

    def _read_scalar(self, event: Any) -> Scalar:
        try:
            data = _scalar_data(event)
        except ValueError as error:
            raise self._error(event, str(error)) from None
        start = body = event.start_mark.index
        end = event.end_mark.index
        if event.style in ("|", ">"):
            body, end = self._block_content(start, end, event.value)
        return Scalar(start, body, end, data, event.style, event.anchor is not None)

    def _block_content(self, start: int, end: int, value: str) -> tuple[int, int]:
        """Return the start of a block scalar's text, and its end without insignificant blank lines."""
        header = _BLOCK_HEADER.search(self._text, start, end)
        if header is None:
            return start, end
        lines = [line.group() for line in _LINE.finditer(self._text, header.end(), end)]
        last = value.rstrip("\n").rpartition("\n")[2]
        blank = "\r\n" if last and not last.strip() else " \t\r\n"
        while lines and "+" not in header.group(1) and not lines[-1].strip(blank):
            lines.pop()
        return header.end(), header.end() + sum(map(len, lines))

    def _read_collection(self, event: Any) -> Collection:
        node = self._new_collection(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(event, f"nested more than {MAX_DEPTH} levels deep")
        keys: set[str] = set()
        while not isinstance(inner := next(self._events), CollectionEndEvent):
            entry = self._read_pair(node, inner) if node.is_mapping else self._read_item(node, inner)
            if entry.key is not None:
                if entry.key in keys:
                    raise self._error(inner, f"the key {entry.key!r} occurs twice in this mapping")
                keys.add(entry.key)
            node.entries.append(entry)
            value = resolve_alias(entry.value)
            node.size += value.size
            node.height = max(node.height, value.height + 1)
        self._depth -= 1
        self._close(node, inner)
        return node

    def _new_collection(self, event: Any) -> Collection:
        start, mark = event.start_mark.index, event.end_mark
        body, column = mark.index, mark.column
        is_mapping = isinstance(event, MappingStartEvent)
        # The mark of a flow collection is after its bracket (unless it is a single pair in a sequence); that of a block
        # sequence is after its first dash if it is not indented.
        if mark.index > start if event.flow_style else not is_mapping and self._text[body : body + 1] != "-":
            body, column = body - 1, column - 1
        return Collection(start, body, is_mapping, bool(event.flow_style), column, event.anchor is not None)

    def _read_item(self, node: Collection, event: Any) -> Entry:
        if node.flow:
            value = self._read_node(event)
            return Entry(value.start, value.start, value.end, value)
        dash = self._skip(node.entries[-1].end) if node.entries else node.body
        value = self._read_node(event)
        return Entry(dash, dash + 1, self._last_line(value), value)

    def _read_pair(self, node: Collection, event: Any) -> Entry:
        start = self._next_key(node)
        key_node = self._read_node(event)
        key = resolve_alias(key_node)
        if not isinstance(key, Scalar) or not isinstance(key.data, str):
            raise self._error(event, "this key is not a string: quote it if it is meant to be one")
        after = self._skip(key_node.end)
        after = after + 1 if self._text[after : after + 1] == ":" else key_node.end
        value = self._read_node(next(self._events))
        if isinstance(value, Scalar) and value.start == value.end:
            value.start = value.body = value.end = after
        end = value.end if node.flow else self._last_line(value)
        merges = key.data == "<<" and isinstance(key_node, Scalar) and event.implicit[0]
        explicit = self._text[start] == "?" and start != key_node.start
        entry = Entry(start, after, end, value, key.data, key_node, explicit, merges)
        if merges:
            self._check_merge(node, entry, event)
        return entry

    def _next_key(self, node: Collection) -> int:
        if not node.entries:
            return self._skip(node.body + 1) if node.flow and self._text[node.body] == "{" else node.body
        position = self._skip(node.entries[-1].end)
        return self._skip(position + 1) if node.flow else position

    def _check_merge(self, node: Collection, entry: Entry, event: Any) -> None:
        for source in merged_nodes(entry):
            mapping = resolve_alias(source)
            if not isinstance(mapping, Collection) or not mapping.is_mapping:
                raise self._error(event, "a merge key needs a mapping, or a sequence of mappings")
            if twice := to_data(mapping).keys() & {above.key for above in node.entries}:
                # In YAML, the mapping's own key wins; in go-yaml v2, the last one.
                raise self._error(event, f"the merge key repeats {min(twice)!r}: parsers disagree on which value wins")

    def _close(self, node: Collection, event: Any) -> None:
        if not node.flow:
            node.end = self._trailing_comments(node)
        elif event.end_mark.index > event.start_mark.index:
            node.end = event.end_mark.index
        else:  # A single pair in a flow sequence has no brackets.
            node.end = node.entries[-1].end

    def _trailing_comments(self, node: Collection) -> int:
        """Return the end of the comments whose indentation makes them part of a block collection."""
        end = node.entries[-1].end
        # A comment at the column of unindented dashes is as likely to be about the next key.
        column = node.column if node.is_mapping else node.column + 1
        while end < len(self._text) and (line := _COMMENT_LINES.match(self._text, end)):
            if len(line.group(1)) < column or self._text[end - 1] not in "\r\n":
                break
            end = line.end()
        return end

    def _last_line(self, value: Node) -> int:
        """Return the end of the last line of an entry in block style."""
        return value.end if is_block(value) else match_end(_LINE_END, self._text, value.end)

    def _skip(self, position: int) -> int:
        return match_end(_GAP, self._text, position)


def _scalar_data(event: Any) -> Any:
    """Return the data of a scalar."""
    kind = (event.tag or "").removeprefix(_TAG)
    if kind == "binary":
        return base64.b64decode(event.value).decode("utf-8", "replace")
    if kind not in ("", "int", "float", "bool", "null") or not (kind or event.implicit[0]):
        return event.value
    data = parse_plain_scalar(event.value)
    if kind == "float" and type(data) is int:
        return float(data)
    if kind and type(data).__name__.replace("NoneType", "null") != kind:
        raise ValueError(f"{event.value!r} is not of the type {kind}")
    return data
