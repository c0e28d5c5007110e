"""Describes network errors on the way to a registry."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpcore2

from webhook.images.errors import DnsTimeout, TooManyDnsQueries, printable

# The last value: whether a retry may succeed.
_WORDS: tuple[tuple[type[BaseException], str, bool], ...] = (
    (DnsTimeout, "DNS did not respond in time", False),
    (TooManyDnsQueries, "too many DNS queries without a response", False),
    (ConnectionRefusedError, "connection refused", True),
    (ConnectionResetError, "connection reset", True),
    (httpcore2.ConnectTimeout, "connection timed out", True),
    (httpcore2.PoolTimeout, "too many requests at once", True),
    (httpcore2.TimeoutException, "no response in time", True),
    (httpcore2.RemoteProtocolError, "the response is not HTTP, or incomplete", True),
    (httpcore2.LocalProtocolError, "the request cannot be sent by HTTP", False),
    (httpcore2.ReadError, "the connection was interrupted", True),
    (httpcore2.WriteError, "the connection was interrupted", True),
)


def in_words(error: BaseException) -> tuple[str, bool]:
    """Describe an error by its causes, and tell whether to retry."""
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message} (--registry-ca)", False
        if isinstance(cause, ssl.SSLError):
            return (
                f"TLS failed: {printable(cause.reason or 'interrupted')} (for plain HTTP, use --registry-plain-http)",
                False,
            )
        if isinstance(cause, socket.gaierror):
            passes = cause.errno == socket.EAI_AGAIN
            return "its name cannot be resolved at the moment" if passes else "its name is not found", passes
    for kind, words, passes in _WORDS:
        if any(isinstance(cause, kind) for cause in chain):
            return words, passes
    told = next((cause.strerror for cause in chain if isinstance(cause, OSError) and cause.strerror), "")
    return (printable(told), True) if told else (f"it cannot be reached: {type(error).__name__}", False)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__
