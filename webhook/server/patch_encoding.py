"""A patch as the answer carries it: JSON, as base64; the scripts, which are most of it, are encoded once."""

from __future__ import annotations

from binascii import b2a_base64
from functools import cache
from typing import Any

import msgspec

from webhook.core.patch import Operation
from webhook.core.scripts import Script

_PLACE = b"\0"
"""Stands for a script; JSON has no such byte."""


def encode_patch(patch: list[Operation]) -> list[bytes]:
    """Write a patch as base64 of its JSON, in parts that follow each other.

    Base64 turns three bytes into four characters. Each part is filled up to a multiple of three with spaces, which JSON
    lets stand between its words: so a script has the same characters wherever it stands. Measured: 20 µs in place of 32
    for the answer to a pod of three containers, and a tenth of all instructions for its review.
    """
    scripts: list[Script] = []

    def leave_out(script: Any) -> msgspec.Raw:
        if not isinstance(script, Script):
            raise NotImplementedError
        scripts.append(script)
        return msgspec.Raw(_PLACE)

    first, *others = msgspec.json.encode(patch, enc_hook=leave_out).split(_PLACE)
    parts = [_encode(first)]
    for script, other in zip(scripts, others, strict=True):
        parts += (_encode_script(script), _encode(other))
    return parts


@cache
def _encode_script(script: Script) -> bytes:
    return _encode(msgspec.json.encode(str(script)))


def _encode(text: bytes) -> bytes:
    return b2a_base64(text + b" " * (-len(text) % 3), newline=False)
