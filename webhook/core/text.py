"""Formats names and values from manifests for messages."""

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
    text = json.dumps(value[: _LONGEST_QUOTE + 1], ensure_ascii=False)
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + '…"'
