"""Scalars: how go-yaml v2 reads them, and how to write them such that every parser reads the same."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?")
_INTEGER = re.compile(r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# Additional numbers in YAML 1.1 or 1.2: sexagesimal ones, and underscores anywhere.
_ALMOST_NUMBER = re.compile(
    r"[-+]?(?:[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|[0-9_]+|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+"
    r"|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?)"
)

_PRINTABLE = r"\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff"
_ONE_LINE = re.compile(f"[{_PRINTABLE}]*")
_LITERAL = re.compile(f"(?:[\t{_PRINTABLE}]*\n)*[\t{_PRINTABLE}]+\n*")
_PLAIN = re.compile(r"(?!---|\.\.\.|<<\Z)(?:[^\s\-?:,\[\]{}#&*!|>'\"%@`=]|-[^\s,\[\]{}]).*")
_ESCAPED = re.compile(f"[^{_PRINTABLE}]")


def parse_plain_scalar(text: str) -> Any:
    """Return the value of a plain scalar.

    https://github.com/go-yaml/yaml/blob/v2.4.0/resolve.go


    Raises:
        ValueError: a number that is not valid JSON.

    """
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a JSON number")
    if text[0] not in "+-.0123456789" or _DATE.fullmatch(text):
        return text
    digits = text if text[0] == "." else text.replace("_", "")
    if whole := _INTEGER.fullmatch(digits):
        return _integer(*whole.groups())
    if _FLOAT.fullmatch(digits) and math.isfinite(number := float(digits)):
        return number
    return text


def _integer(sign: str, hexadecimal: str, binary: str, octal: str, decimal: str) -> int | float:
    base = 16 if hexadecimal else 2 if binary else 8 if octal else 10
    digits = sign + (hexadecimal or binary or octal or decimal)
    # Go reads numbers that do not fit into 64 bits as floats. (int() rejects numbers with more digits.)
    fits = len(digits) < 100 and -(2**63) <= int(digits, base) < 2**64
    return int(digits, base) if fits or base != 10 else float(digits)


def is_one_line(text: str) -> bool:
    """Tell whether a text can be written without escapes."""
    return _ONE_LINE.fullmatch(text) is not None


def fits_literal_block(text: str) -> bool:
    """Tell whether a text has several lines, and can be a literal block without invisible differences."""
    return "\n" in text and _LITERAL.fullmatch(text) is not None and re.search(r"[ \t](?:\n|\Z)", text) is None


def is_plain(text: str, *, flow: bool) -> bool:
    """Tell whether a text needs no quotes in any version of YAML."""
    return (
        _PLAIN.fullmatch(text) is not None
        and is_one_line(text)
        and text[-1] not in " :"
        and not (": " in text or " #" in text)
        and not (flow and re.search(r"[,\[\]{}:?]", text))
        and not _NOT_FINITE.fullmatch(text)
        and not _DATE.match(text)
        and not _ALMOST_NUMBER.fullmatch(text)
        and isinstance(parse_plain_scalar(text), str)
    )


def double_quoted(text: str) -> str:
    """Write a text in double quotes like JSON; invisible characters are escaped."""
    quoted = json.dumps(text, ensure_ascii=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match.group()):04x}", quoted)


def single_quoted(text: str) -> str:
    """Write a single-line text in single quotes."""
    return "'" + text.replace("'", "''") + "'"
