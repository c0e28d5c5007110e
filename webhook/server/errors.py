"""The exceptions of the server, and errors as JSON.

    Exception
    ├── RequestRejected     the request gets no verdict, but an HTTP error
    ├── PodUnreadable       the API server does not return an evicted pod
    └── PodNotFound         an evicted pod no longer exists

`serve` also raises `certs.errors.Unusable` for a certificate.
"""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from webhook.core.reasons import Reason

JSON = "application/json"


class RequestRejected(Exception):
    """The request gets no verdict; the reason determines the HTTP error."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.detail = detail


class PodUnreadable(Exception):
    """A pod cannot be read; the message says why."""


class PodNotFound(Exception):
    """The pod no longer exists: another client was faster, which is fine."""


def error_body(code: str, message: str) -> bytes:
    """Return the body of an error."""
    return msgspec.json.encode({"error": {"code": code, "message": message}})


def error_response(status: int, code: str, message: str, headers: dict[str, str]) -> Response:
    """Return an error response."""
    return Response(error_body(code, message), status, headers, media_type=JSON)
