"""Encodes patches as base64 of JSON; the scripts, which are most of it, are encoded only once."""

from __future__ import annotations

from binascii import b2a_base64
from functools import cache
from typing import Any

import msgspec

from webhook.core.patch.json_patch import Operation
from webhook.core.scripts import Script

_PLACE = b"\0"
"""Placeholder for a script; JSON contains no such byte."""


def encode_patch(patch: list[Operation]) -> list[bytes]:
    """Return the base64 of a patch's JSON, in consecutive parts.

    Base64 encodes three bytes as four characters. Each part is padded with spaces to a multiple of three, which JSON
    allows between tokens, so a script is encoded the same everywhere. Measured: 20 µs instead of 32 for the response to
    a pod of three containers, and a tenth of all instructions for its review.
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
