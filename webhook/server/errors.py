"""The errors of the protocol, as JSON."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

JSON = "application/json"


def error_content(code: str, message: str) -> bytes:
    """Write the body of an error."""
    return msgspec.json.encode({"error": {"code": code, "message": message}})


def error_response(status: int, code: str, message: str, headers: dict[str, str]) -> Response:
    """Return the answer to a request that gets an error."""
    return Response(error_content(code, message), status, headers, media_type=JSON)
