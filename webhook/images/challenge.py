"""Parses the challenges in WWW-Authenticate, and the response of a token server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

# https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:({_WORD})|"((?:[^"\\]|\\.)*)")[ \t]*(?=,|$)')
_SCHEME = re.compile(rf"({_WORD})(?:[ \t]+|(?=,|$))")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)")
_BETWEEN = re.compile(r"[ \t]*,[, \t]*|[ \t]+")
_ESCAPE = re.compile(r"\\(.)")
_VISIBLE = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Challenge:
    """An authentication challenge; scheme and parameter names are lower case."""

    scheme: str
    parameters: dict[str, str]


def read_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Parse the challenges of all headers; anything after a syntax error is ignored."""
    return [challenge for header in headers for challenge in _read_header(header)]


def _read_header(header: str) -> Iterator[Challenge]:
    challenge: Challenge | None = None
    position = 0
    while position < len(header):
        if between := _BETWEEN.match(header, position):
            position = between.end()
        elif challenge and (parameter := _PARAMETER.match(header, position)):
            name, token, text = parameter.groups()
            challenge.parameters.setdefault(name.lower(), token if text is None else _ESCAPE.sub(r"\1", text))
            position = parameter.end()
        elif scheme := _SCHEME.match(header, position):
            if challenge:
                yield challenge
            challenge = Challenge(scheme[1].lower(), {})
            position = scheme.end()
            if not _PARAMETER.match(header, position) and (token68 := _TOKEN68.match(header, position)):
                position = token68.end()
        else:
            break
    if challenge:
        yield challenge


class _Reply(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None


_REPLY = msgspec.json.Decoder(_Reply)


def read_token(body: bytes) -> str:
    """Return the token in a token server's response; empty if there is no valid one.

    https://distribution.github.io/distribution/spec/auth/token/#token-response-fields
    """
    try:
        reply = _REPLY.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    token = reply.token or reply.access_token or ""
    return token if _VISIBLE.fullmatch(token) else ""
