"""An API server on loopback that stores the Secret and the configuration, and sends unexpected responses on request."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from email.utils import format_datetime
from typing import Any

import jsonpatch

from certs.clock import wall_clock

Object = dict[str, Any]
Response = Callable[[asyncio.StreamWriter], Awaitable[None]]

REQUEST_KINDS = (
    "read configuration",
    "read secret",
    "create secret",
    "replace secret",
    "patch configuration",
    "watch secret",
    "watch configuration",
)
MAX_SENT = 100 * 1024 * 1024
"""Maximum size of an endless response, whether or not the client stops reading."""


class OddApiServer:
    """Responds normally, but first with the unexpected responses that were set for a kind of request."""

    def __init__(self) -> None:
        self.secret: Object | None = None
        self.configuration: Object = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "graceful-worker", "resourceVersion": "1"},
            "webhooks": [{"name": name, "clientConfig": {"service": {"name": "graceful-worker"}}} for name in "ab"],
        }
        self.faults: dict[str, deque[Response]] = defaultdict(deque)
        self.offset = datetime.timedelta()
        """How far its clock is ahead."""
        self.date_line: bytes | None = None
        """The Date header that is sent instead of the time."""
        self.base_url = ""
        self.busy = 0
        """The number of unexpected responses that are being sent."""
        self._version = 1
        self._changed = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[OddApiServer]:
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def store(self, secret: Object | None) -> None:
        """Store a Secret, as a restore does."""
        self.secret = secret and self._new(secret)

    @property
    def bundles(self) -> list[str]:
        return [entry["clientConfig"].get("caBundle", "") for entry in self.configuration["webhooks"]]

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._exchange(reader, writer):
                pass
        self._connections.discard(task)
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = request.split(" ", 2)
        lengths = [line.split(":")[1] for line in request.lower().splitlines() if line.startswith("content-length")]
        body = json.loads(await reader.readexactly(int(lengths[0]))) if lengths else None
        kind = _request_kind(method, target)
        if self.faults[kind]:
            self.busy += 1
            try:
                await self.faults[kind].popleft()(writer)
            finally:
                self.busy -= 1
            return False
        if kind.startswith("watch"):
            await self._watch(writer)
            return False
        status, document = self._respond(kind, body)
        content = json.dumps(document).encode()
        now = f"Date: {format_datetime(wall_clock() + self.offset, usegmt=True)}\r\n".encode()
        head = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        writer.write(f"HTTP/1.1 {status} X\r\n".encode() + (now if self.date_line is None else self.date_line) + head)
        writer.write(content)
        await writer.drain()
        return True

    def _respond(self, kind: str, body: Any) -> tuple[int, Object]:
        match kind:
            case "read configuration":
                return 200, self.configuration
            case "read secret":
                return (200, self.secret) if self.secret else _status(404)
            case "create secret":
                if self.secret:
                    return _status(409)
                self.secret = self._new(body)
                return 201, self.secret
            case "replace secret":
                if not self.secret or _version(body) != _version(self.secret):
                    return _status(409)
                self.secret = self._new(body)
                return 200, self.secret
        try:
            self.configuration = self._new(jsonpatch.apply_patch(self.configuration, body))
        except jsonpatch.JsonPatchTestFailed:
            return _status(422)
        return 200, self.configuration

    def _new(self, resource: Object) -> Object:
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()
        return {**resource, "metadata": {**resource["metadata"], "resourceVersion": str(self._version)}}

    async def _watch(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")
        for _ in range(1000):
            writer.write(b'{"type":"MODIFIED","object":{}}\n')
            await writer.drain()
            await self._changed.wait()


def _request_kind(method: str, target: str) -> str:
    resource = "secret" if "/secrets" in target else "configuration"
    if "watch=true" in target:
        return f"watch {resource}"
    return {"GET": "read", "POST": "create", "PUT": "replace", "PATCH": "patch"}[method] + f" {resource}"


def _version(resource: Object) -> str:
    return str(resource["metadata"]["resourceVersion"])


def _status(code: int) -> tuple[int, Object]:
    return code, {"kind": "Status", "apiVersion": "v1", "code": code, "message": f"no: {code}"}


def raw(text: bytes) -> Response:
    """Respond with these bytes, and close the connection."""

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()

    return respond


def full_response(status: str, body: bytes, *headers: str) -> Response:
    """Respond with a body and its length."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return raw("\r\n".join(lines).encode() + body)


def endless(head: bytes, part: bytes, pause: float = 0.0) -> Response:
    """Send a response that does not end."""

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in range(MAX_SENT // len(part)):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return respond


def encoded(data: dict[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in data.items()}
