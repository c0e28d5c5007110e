"""Protocol errors as JSON."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

JSON = "application/json"


def error_content(code: str, message: str) -> bytes:
    """Return the body of an error."""
    return msgspec.json.encode({"error": {"code": code, "message": message}})


def error_response(status: int, code: str, message: str, headers: dict[str, str]) -> Response:
    """Return an error response."""
    return Response(error_content(code, message), status, headers, media_type=JSON)
