"""Writes new values as YAML in the style of their document."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from webhook.yaml_patch.nodes import Collection, Document, Node, Scalar, walk
from webhook.yaml_patch.scalars import double_quoted, fits_literal_block, is_one_line, is_plain, single_quoted

MAX_FLOW_WIDTH = 110
_DASH = "-"


class Unquoted(NamedTuple):
    """Which texts in a flow collection are quoted only if necessary."""

    keys: bool = False
    strings: bool = False


_ALL_QUOTED = Unquoted()


@dataclass(frozen=True, slots=True)
class Style:
    """The style of a document: indentation, line endings, and preferred quotes."""

    step: int = 2
    sequence_indent: int = 0
    newline: str = "\n"
    quote: str = '"'
    blocks: bool = True
    keeps_blank_lines: bool = True

    def entry(self, prefix: str, value: Any, column: int, comment: str = "") -> str:
        """Write a key (with its colon) or a dash at a column, followed by a value, as whole lines.

        The first line is not indented; it ends with the comment, if any.
        """
        comment = comment and f" {comment}"
        if (inline := self.inline(value)) is not None:
            return f"{prefix} {inline}{comment}{self.newline}"
        inner = column + self._indentation(prefix, value)
        if isinstance(value, str):
            header = _block_header(value, inner - column)
            return f"{prefix} {header}{comment}{self.newline}{self._block_lines(value, inner)}"
        lines = self.block(value, inner)
        if prefix == _DASH and not comment:
            return f"{prefix} {lines.lstrip(' ')}"
        return f"{prefix}{comment}{self.newline}{lines}"

    def block(self, value: dict[str, Any] | list[Any], column: int) -> str:
        """Write a non-empty collection as indented lines."""
        pairs = value.items() if isinstance(value, dict) else ((None, item) for item in value)
        margin = " " * column
        return "".join(margin + self.entry(self.prefix(key), item, column) for key, item in pairs)

    def inline(self, value: Any, old_quote: str | None = None) -> str | None:
        """Write a value on the line of its key; None if it needs separate lines.

        `old_quote` is the value's previous quote.
        """
        if isinstance(value, str):
            return None if self._is_block(value) else self._string(value, old_quote)
        return None if value and isinstance(value, dict | list) else self.flow(value)

    def flow(self, value: Any, unquoted: Unquoted = _ALL_QUOTED) -> str:
        """Write a value like JSON."""
        if isinstance(value, dict):
            return "{" + ", ".join(self.flow_pair(key, item, unquoted) for key, item in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(self.flow(item, unquoted) for item in value) + "]"
        return _flow_string(value, unquoted=unquoted.strings) if isinstance(value, str) else _json_scalar(value)

    def flow_pair(self, key: str, value: Any, unquoted: Unquoted) -> str:
        """Write a key with its value."""
        return f"{_flow_string(key, unquoted=unquoted.keys)}: {self.flow(value, unquoted)}"

    def prefix(self, key: str | None) -> str:
        """Write the text before a value: a key with its colon, or a dash."""
        return _DASH if key is None else f"{self._string(key)}:"

    def _is_block(self, text: str) -> bool:
        return self.blocks and fits_literal_block(text) and (self.keeps_blank_lines or not text.endswith("\n\n"))

    def _string(self, text: str, old_quote: str | None = None) -> str:
        if old_quote is None and is_plain(text, flow=False):
            return text
        return single_quoted(text) if (old_quote or self.quote) == "'" and is_one_line(text) else double_quoted(text)

    def _indentation(self, prefix: str, value: Any) -> int:
        if prefix == _DASH:
            return len("- ")
        return self.sequence_indent if isinstance(value, list) else self.step

    def _block_lines(self, text: str, column: int) -> str:
        margin = " " * column
        lines = text.removesuffix("\n").split("\n")
        return "".join(f"{margin if line else ''}{line}{self.newline}" for line in lines)


def detect_style(document: Document) -> Style:
    """Determine the prevailing style of a document."""
    steps: Counter[int] = Counter()
    sequences: Counter[int] = Counter()
    quotes: Counter[str] = Counter()
    for node in walk(document.root) if document.root else ():
        if isinstance(node, Scalar):
            quotes[node.style or ""] += 1
        elif isinstance(node, Collection) and node.is_mapping:
            for inner in (entry.value for entry in node.entries):
                if isinstance(inner, Collection) and not inner.flow:
                    (steps if inner.is_mapping else sequences)[inner.column - node.column] += 1
    crlf = document.text.count("\r\n")
    return Style(
        step=_most_frequent(steps, 2),
        sequence_indent=_most_frequent(sequences, 0),
        newline="\r\n" if crlf * 2 > document.text.count("\n") else "\n",
        quote="'" if quotes["'"] > quotes['"'] else '"',
    )


def detect_unquoted(collection: Collection) -> Unquoted:
    """Determine which texts in a flow collection are unquoted; if unclear, keys and strings are treated alike."""
    keys = _styles(entry.key_node for entry in collection.entries)
    strings = _styles(entry.value for entry in collection.entries)
    return Unquoted(None in (keys or strings), None in (strings or keys))


def _styles(group: Iterable[Node | None]) -> set[str | None]:
    return {node.style for node in group if isinstance(node, Scalar) and isinstance(node.data, str)}


def _flow_string(text: str, *, unquoted: bool) -> str:
    return text if unquoted and is_plain(text, flow=True) else double_quoted(text)


def _most_frequent(counts: Counter[int], default: int) -> int:
    """Return the most frequent count; if tied, the smallest."""
    return min(counts, key=lambda number: (-counts[number], number), default=default)


def _block_header(text: str, indentation: int) -> str:
    # Readers derive the indentation from the first non-empty line, unless it starts with a blank.
    digit = str(indentation) if text.lstrip("\n")[:1] in " \t" else ""
    chomping = "-" if not text.endswith("\n") else "+" if text.endswith("\n\n") else ""
    return f"|{digit}{chomping}"


def _json_scalar(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON number")
    return json.dumps(value)
