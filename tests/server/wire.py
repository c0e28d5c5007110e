"""HTTP as bytes on a TLS connection: requests that a client library would not send, and responses it would hide."""

from __future__ import annotations

import json
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

JSON = {"content-type": "application/json"}


class Ended(ConnectionError):
    """The connection ended where a response was expected."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)

    @property
    def admission_response(self) -> dict[str, Any]:
        """The `response` of an AdmissionReview."""
        assert self.status == 200, self.body
        response: dict[str, Any] = self.json["response"]
        return response

    @property
    def error(self) -> str:
        """The code of a JSON error, which must have a message, too."""
        error = self.json["error"]
        assert isinstance(error["message"], str)
        assert error["message"]
        code: str = error["code"]
        return code

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


def head(method: str, path: str, headers: dict[str, str] | None = None, version: str = "1.1") -> bytes:
    """Return the head of a request."""
    lines = [f"{method} {path} HTTP/{version}", "host: graceful-worker.graceful-worker.svc"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def post(body: bytes, headers: dict[str, str] | None = None, path: str = "/mutate") -> bytes:
    """Return a POST request with its body."""
    return head("POST", path, {"content-length": str(len(body)), **(JSON if headers is None else headers)}) + body


def get(path: str) -> bytes:
    """Return a GET request."""
    return head("GET", path)


def chunked(*chunks: bytes) -> bytes:
    """Return a body in chunked encoding."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


class Connection:
    """A TLS connection to the server; every operation on it fails after a timeout."""

    def __init__(self, port: int, context: ssl.SSLContext, hostname: str = "127.0.0.1", seconds: float = 15) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket = context.wrap_socket(plain, server_hostname=hostname)
        except BaseException:
            plain.close()
            raise
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_response(self) -> HttpResponse:
        """Read one response.

        Raises:
            Ended: the connection ends before the response.

        """
        try:
            line = self._file.readline()
        except (ConnectionError, ssl.SSLEOFError) as error:
            raise Ended from error
        if not line:
            raise Ended
        status = int(line.split()[1])
        headers: dict[str, str] = {}
        while (line := self._file.readline()) != b"\r\n":
            if not line:
                raise Ended
            name, _, value = line.decode("latin-1").partition(":")
            headers[name] = value.strip()
        return HttpResponse(status, headers, self._file.read(int(headers.get("content-length", 0))))

    def exchange(self, data: bytes) -> HttpResponse:
        """Send a request and read its response."""
        # A server that responds before it has read the whole request may close the connection during this write.
        with suppress(ConnectionError, ssl.SSLEOFError):
            self.send(data)
        return self.read_response()

    def seconds_until_end(self) -> float:
        """Wait until the server closes the connection without sending anything, and return how long that took."""
        begin = time.monotonic()
        with suppress(ConnectionError, ssl.SSLEOFError):
            assert self._file.read() == b""
        return time.monotonic() - begin
