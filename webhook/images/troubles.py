"""What can go wrong on the way to a registry, in words."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpcore2

from webhook.images.failure import shown
from webhook.images.resolver import Overburdened, Unanswered

# Whether it may well be gone the next moment.
_WORDS: tuple[tuple[type[BaseException], str, bool], ...] = (
    (Unanswered, "DNS has not answered in time", False),
    (Overburdened, "too many names that DNS does not answer", False),
    (ConnectionRefusedError, "connection refused", True),
    (ConnectionResetError, "connection reset", True),
    (httpcore2.ConnectTimeout, "no connection in time", True),
    (httpcore2.PoolTimeout, "too many questions at once", True),
    (httpcore2.TimeoutException, "no answer in time", True),
    (httpcore2.RemoteProtocolError, "the answer is no HTTP, or breaks off", True),
    (httpcore2.LocalProtocolError, "it cannot be asked by HTTP", False),
    (httpcore2.ReadError, "the connection broke off", True),
    (httpcore2.WriteError, "the connection broke off", True),
)


def in_words(error: BaseException) -> tuple[str, bool]:
    """Say what went wrong, by the error and its causes; and whether to try again."""
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message} (--registry-ca)", False
        if isinstance(cause, ssl.SSLError):
            return f"no TLS: {shown(cause.reason or 'broken off')} (without TLS: --registry-plain-http)", False
        if isinstance(cause, socket.gaierror):
            passes = cause.errno == socket.EAI_AGAIN
            return "its name cannot be resolved now" if passes else "its name is not found", passes
    for kind, words, passes in _WORDS:
        if any(isinstance(cause, kind) for cause in chain):
            return words, passes
    told = next((cause.strerror for cause in chain if isinstance(cause, OSError) and cause.strerror), "")
    return (shown(told), True) if told else (f"it cannot be reached: {type(error).__name__}", False)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__
