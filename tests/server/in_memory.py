"""uvicorn's protocol on an in-memory transport."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from importlib.metadata import version
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

MESSAGES: list[Any] = []
"""What the application received."""


def look_at(what: str, where: str = "http_protocol.py") -> str:
    """Return the message for a failed assertion: what changed, and which comments to compare with the new source."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "httptools", "uvloop"))
    return f"webhook/server/{where} relies on {what}: compare its comments with the new source ({libraries})"


class Transport(asyncio.Transport):
    """Records what is written, and sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closing = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def recording(calls: list[str], names: Iterable[str]) -> type[HttpToolsProtocol]:
    """Return a subclass that records which of these methods are called, in order."""

    def override(name: str) -> Callable[..., Any]:
        def call(self: HttpToolsProtocol, *arguments: Any) -> Any:
            calls.append(name)
            return getattr(HttpToolsProtocol, name)(self, *arguments)

        return call

    return type("Recording", (HttpToolsProtocol,), {name: override(name) for name in names})


async def respond(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def wait_for_the_body(scope: Any, receive: Any, send: Any) -> None:
    MESSAGES[:] = [await receive()]


def connect(
    application: Any = respond, kind: type[HttpToolsProtocol] = HttpToolsProtocol, **options: Any
) -> tuple[HttpToolsProtocol, Transport]:
    config = uvicorn.Config(application, lifespan="off", log_config=None, interface="asgi3", **options)
    protocol = kind(config=config, server_state=ServerState(), app_state={}, _loop=asyncio.get_running_loop())
    transport = Transport()
    protocol.connection_made(transport)
    return protocol, transport


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


async def let_tasks_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
