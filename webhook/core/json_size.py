"""Counts the values of a JSON text without building them: three bytes may become an object of a hundred."""

from __future__ import annotations

import re

_STRING = re.compile(rb'"[^"]*"')
# Strings, and what other values are counted by: the start of an object or array, or a comma.
_COUNTED = b'"{[,'
_OTHERS = bytes(set(range(256)) - set(_COUNTED))


def has_more_values(text: bytes, limit: int) -> bool:
    """Tell whether a JSON text has more strings, or more other values, than a limit.

    Takes microseconds for a text with few commas and brackets, and less than 80 ms where they have to be told from
    those inside strings (measured: 18 MB, a limit of 300,000).
    """
    if len(text) <= limit or sum(map(text.count, (b"{", b"[", b",", b'"'))) <= limit:
        return False
    # Without escapes, each quote begins or ends a string. An escaped backslash goes first: the next quote is none of
    # its.
    bare = text.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _OTHERS)
    if bare.count(b'"') > 2 * limit:
        return True
    return len(_STRING.sub(b"", bare)) > limit
