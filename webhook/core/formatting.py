"""Formats names, values from manifests, and numbers for messages."""

from __future__ import annotations

import json
from collections.abc import Iterable

_LONGEST_QUOTE = 80
_LONGEST_LIST = 400


def listed(names: Iterable[str]) -> str:
    """List names in a sentence, shortened if there are many."""
    text = ", ".join(names)
    return text if len(text) <= _LONGEST_LIST else text[:_LONGEST_LIST] + "…"


def quoted(value: str) -> str:
    """Quote a value from a manifest as one line of printable characters, shortened if it is long."""
    text = escape_unprintable(json.dumps(value[: _LONGEST_QUOTE + 1], ensure_ascii=False))
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + '…"'


def escape_unprintable(text: str) -> str:
    """Escape characters that cannot be printed, such as half of a surrogate pair, which has no encoding."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def pluralize(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 pod` or `2 pods`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
