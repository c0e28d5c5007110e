"""A small HTTP server for probes and metrics, with few connections, one request per connection, and a timeout.

uvicorn would also work, but takes 10 MiB more and has no timeout for silent clients. http.server, which
prometheus_client uses, has a thread per connection, which would read the counts while the event loop changes them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import TypeAlias

import msgspec

from webhook.server.listener import bind

MAX_CONNECTIONS = 64
"""If there are too many, the oldest one is closed."""
MAX_HEADER_BYTES = 8192
REQUEST_SECONDS = 10.0
"""For a request and its response."""
BACKLOG = 128
CHUNK_BYTES = 64 * 1024
JSON = "application/json"


class Response(msgspec.Struct, frozen=True):
    """The response to a request."""

    status: HTTPStatus
    body: bytes
    media_type: str = JSON


Routes: TypeAlias = Mapping[str, Callable[[], Response]]
"""Functions that compute the response, by path."""


def status_response(state: str, *, is_ok: bool = True) -> Response:
    """Return the response to a probe."""
    status = HTTPStatus.OK if is_ok else HTTPStatus.SERVICE_UNAVAILABLE
    return Response(status, msgspec.json.encode({"status": state}))


class HttpServer:
    """Answers GET requests on a plain HTTP port, with IPv6 and IPv4."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        # A dict, because it keeps the order.
        self._connections: dict[asyncio.Task[None], None] = {}
        self._sockets: list[socket.socket] = []

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._sockets[0].getsockname()[1])

    def listen(self, host: str, port: int) -> None:
        """Start listening; connections queue in the backlog.

        Raises:
            OSError: it is not possible to listen on the address.

        """
        self._sockets = bind(host, port, BACKLOG)

    async def run(self) -> None:
        """Serve until cancelled."""
        servers = [
            await asyncio.start_server(self._accept, sock=listening, limit=MAX_HEADER_BYTES)
            for listening in self._sockets
        ]
        try:
            await asyncio.gather(*(server.serve_forever() for server in servers))
        finally:
            for connection in list(self._connections):
                connection.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is one
        self._connections[task] = None
        if len(self._connections) > MAX_CONNECTIONS:
            next(iter(self._connections)).cancel()
        try:
            # A client that disconnects, stalls or is displaced is not an error.
            with suppress(OSError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(REQUEST_SECONDS):
                    await self._respond(reader, writer)
                    writer.close()
                    await writer.wait_closed()
        finally:
            del self._connections[task]
            writer.transport.abort()

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        except asyncio.LimitOverrunError:
            await _send(writer, _error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), with_body=True)
            return
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method in ("GET", "HEAD"):
            route = self._routes.get(path)
            response = route() if route else _error(HTTPStatus.NOT_FOUND)
        else:
            response = _error(HTTPStatus.METHOD_NOT_ALLOWED)
        await _send(writer, response, with_body=method != "HEAD")


def _error(status: HTTPStatus) -> Response:
    return Response(status, msgspec.json.encode({"error": {"code": "http", "message": status.phrase}}))


async def _send(writer: asyncio.StreamWriter, response: Response, *, with_body: bool) -> None:
    """Send in chunks: data waiting for a slow client is copied, which should not be all of the metrics."""
    head = (
        f"HTTP/1.1 {response.status.value} {response.status.phrase}\r\ncontent-type: {response.media_type}\r\n"
        f"content-length: {len(response.body)}\r\nconnection: close\r\n\r\n"
    )
    writer.write(head.encode())
    body = memoryview(response.body if with_body else b"")
    for start in range(0, len(body), CHUNK_BYTES):
        writer.write(body[start : start + CHUNK_BYTES])
        await writer.drain()
    await writer.drain()
