"""A registry on real sockets whose responses a test sets, for behaviour that a real registry does not show."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import trustme

from tests.images.oci_images import Blob, OciImage


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as the server received it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)

    @property
    def authorization(self) -> str:
        return self.headers.get("authorization", "")


@dataclass(frozen=True)
class Reply:
    """A response. If `raw` is set, it is sent instead, and the connection is closed."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes = b""
    raw: bytes | None = None

    def with_header(self, name: str, value: str) -> Reply:
        return Reply(self.status, (*self.headers, (name, value)), self.content)


Handler = Callable[[ReceivedRequest], Reply | Awaitable[Reply]]


@dataclass
class ScriptedRegistry:
    """A running server, and the requests that it has received."""

    host: str
    requests: list[ReceivedRequest] = field(default_factory=list)

    @property
    def request_lines(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]

    def count(self, method: str, part: str = "") -> int:
        return sum(request.method == method and part in request.path for request in self.requests)


@asynccontextmanager
async def serve(
    handler: Handler, authority: trustme.CA | None, name: str = "127.0.0.1"
) -> AsyncIterator[ScriptedRegistry]:
    """Serve on loopback; `name` is the host name in the certificate and in the server's address."""
    context = None
    if authority:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
    scripted = ScriptedRegistry("")
    connections: set[asyncio.Task[None]] = set()

    async def handle_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        connections.add(task)
        task.add_done_callback(connections.discard)
        # Clients may close the connection at any time.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await _handle_requests(reader, writer, handler, scripted.requests)
        writer.transport.abort()

    server = await asyncio.start_server(handle_connection, "127.0.0.1", 0, ssl=context)
    scripted.host = f"{name}:{server.sockets[0].getsockname()[1]}"
    try:
        yield scripted
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()


async def _handle_requests(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler, seen: list[ReceivedRequest]
) -> None:
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        request = ReceivedRequest(
            method, target, headers, await reader.readexactly(int(headers.get("content-length", 0)))
        )
        seen.append(request)
        reply = handler(request)
        if not isinstance(reply, Reply):
            reply = await reply
        if reply.raw is not None:
            writer.write(reply.raw)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return
        lines = [f"HTTP/1.1 {reply.status} Said", *(f"{name}: {value}" for name, value in reply.headers)]
        length = f"Content-Length: {len(reply.content)}"
        writer.write("\r\n".join((*lines, length, "", "")).encode() + (b"" if method == "HEAD" else reply.content))
        await writer.drain()


class RegistryWithImage:
    """Responds as a registry that has one image and needs no credentials."""

    def __init__(self, built: OciImage, repository: str = "team/app", tag: str = "latest") -> None:
        self.prefix = f"/v2/{repository}/"
        self.manifests = {tag: built.manifest, **{part.digest: part.manifest for part in _with_parts(built)}}
        self.blobs = {blob.digest: blob for part in _with_parts(built) for blob in part.blobs}

    def __call__(self, request: ReceivedRequest) -> Reply:
        if request.path == "/v2/":
            return Reply()
        kind, _, version = request.path.removeprefix(self.prefix).partition("/")
        found = {"manifests": self.manifests, "blobs": self.blobs}.get(kind, {}).get(version)
        return _document(found) if found else Reply(404)


def _with_parts(built: OciImage) -> Iterator[OciImage]:
    yield built
    for part in built.parts:
        yield from _with_parts(part)


def _document(blob: Blob) -> Reply:
    return Reply(200, (("Content-Type", blob.media_type), ("Docker-Content-Digest", blob.digest)), blob.content)
