"""A small HTTP server for probes and metrics, with few connections, one request per connection, and a timeout.

uvicorn would also work, but takes 10 MiB more and has no timeout for silent clients.
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

MOST_CONNECTIONS = 64
"""If there are too many, the oldest one is closed."""
MOST_HEAD_BYTES = 8192
SECONDS = 10.0
"""For a request and its response."""
BACKLOG = 128
PIECE_BYTES = 64 * 1024
JSON = "application/json"
_METHODS = ("GET", "HEAD")


class Answer(msgspec.Struct, frozen=True):
    """The response to a request."""

    status: HTTPStatus
    content: bytes
    media_type: str = JSON


Routes: TypeAlias = Mapping[str, Callable[[], Answer]]
"""Functions that compute the response, by path."""


def status_answer(word: str, *, is_well: bool = True) -> Answer:
    """Return a one-word response to a probe."""
    status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, msgspec.json.encode({"status": word}))


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
            await asyncio.start_server(self._accept, sock=listening, limit=MOST_HEAD_BYTES)
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
        if len(self._connections) > MOST_CONNECTIONS:
            next(iter(self._connections)).cancel()
        try:
            # A client that disconnects, stalls or is displaced is not an error.
            with suppress(OSError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(SECONDS):
                    await self._answer(reader, writer)
                    writer.close()
                    await writer.wait_closed()
        finally:
            del self._connections[task]
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        except asyncio.LimitOverrunError:
            await _send(writer, _error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), is_whole=True)
            return
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        await _send(writer, self._answer_to(method, path), is_whole=method != "HEAD")

    def _answer_to(self, method: str, path: str) -> Answer:
        if method not in _METHODS:
            return _error(HTTPStatus.METHOD_NOT_ALLOWED)
        route = self._routes.get(path)
        return route() if route else _error(HTTPStatus.NOT_FOUND)


def _error(status: HTTPStatus) -> Answer:
    return Answer(status, msgspec.json.encode({"error": {"code": "http", "message": status.phrase}}))


async def _send(writer: asyncio.StreamWriter, answer: Answer, *, is_whole: bool) -> None:
    """Send in pieces: data waiting for a slow client is copied, which should not be all of the metrics."""
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\ncontent-type: {answer.media_type}\r\n"
        f"content-length: {len(answer.content)}\r\nconnection: close\r\n\r\n"
    )
    writer.write(head.encode())
    content = memoryview(answer.content if is_whole else b"")
    for begin in range(0, len(content), PIECE_BYTES):
        writer.write(content[begin : begin + PIECE_BYTES])
        await writer.drain()
    await writer.drain()
