"""The exceptions of certificates and of the API server's client, and how they are logged.

Exception
└── ExpectedError        its message contains no keys
    ├── Unusable         (also a ValueError) a certificate, a key, or the pair cannot be used
    ├── Conflict         another client has changed an object since it was read
    ├── NoClusterConfigured
    ├── StatusError      the API server refuses, with an HTTP status
    └── ApiServerUnavailable  it cannot be reached, or its response is not valid
        └── ResponseTooLarge
"""

from __future__ import annotations

import datetime
import traceback
from pathlib import Path

_MAX_LENGTH = 300


class ExpectedError(Exception):
    """An expected error whose message contains no keys."""


class Unusable(ExpectedError, ValueError):
    """A certificate, a key, or the pair cannot be used; the message says how to fix it."""


class Conflict(ExpectedError):
    """Another client has changed the object since it was read: read it again."""


class ApiServerUnavailable(ExpectedError):
    """The API server cannot be reached, or its response is not valid."""


class ResponseTooLarge(ApiServerUnavailable):
    """The response exceeds the limit."""


class NoClusterConfigured(ExpectedError):
    """No API server is configured."""


class StatusError(ExpectedError):
    """The API server refuses, with an HTTP status, a message that contains no keys, and the time."""

    def __init__(self, status: int, words: str, date: datetime.datetime | None) -> None:
        super().__init__(f"{words} ({status})")
        self.status = status
        self.date = date


def describe_error(error: BaseException) -> str:
    """Describe an error; for an unexpected one, only its place, because its message may quote anything."""
    if isinstance(error, ExpectedError | OSError):
        description = f"{type(error).__name__}: {error}"
        return description if len(description) <= _MAX_LENGTH else f"{description[:_MAX_LENGTH]}…"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
