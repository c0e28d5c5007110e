"""The HTTPS server: uvicorn, with time limits for slow clients, and a drain before it ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from webhook.core.decision import Policy
from webhook.server.application import Limits, Readiness, create_application
from webhook.server.logs import configure_logs

HEAD_BYTES = 64 * 1024
"""Bytes of header names and values in one request: an API server sends well under one KiB."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to serve; times are in seconds.

    `idle_seconds` is above the 90 s after which Go's HTTP client, and so the API server, drops an idle connection:
    were it the server that closes first, a request might be on its way already.
    """

    host: str
    port: int
    tls_cert: str
    tls_key: str
    limits: Limits = field(default_factory=Limits)
    head_seconds: float = 5.0
    idle_seconds: int = 120
    drain_seconds: float = 5.0
    finish_seconds: int = 30
    log_level: str = "info"


def protocol_class(  # noqa: C901 - one small class, counted with its methods
    head_seconds: float, readiness: Readiness
) -> type[HttpToolsProtocol]:
    """Make uvicorn's protocol drop clients that are slow to send a head, and say goodbye in a drain."""

    class LimitedProtocol(HttpToolsProtocol):
        _head_timer: asyncio.TimerHandle | None = None
        _head_bytes = 0

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)  # type: ignore[arg-type]
            self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._head_bytes = 0
            self._await_head()

        def on_header(self, name: bytes, value: bytes) -> None:
            self._head_bytes += len(name) + len(value)
            if self._head_bytes > HEAD_BYTES:
                raise ValueError("header too large")  # the parser turns it into a 400
            super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._stop_timer()
            super().on_headers_complete()
            if readiness.draining:
                self.cycle.keep_alive = False

        def _await_head(self) -> None:
            self._stop_timer()
            self._head_timer = self.loop.call_later(head_seconds, self.transport.close)

        def _stop_timer(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

    return LimitedProtocol


class DrainingServer(uvicorn.Server):
    """On SIGTERM goes on serving for a while, as not ready and without keep-alive, then finishes what is in flight.

    Endpoints change slower than signals arrive: connections that are still opened during the drain are served too.
    """

    def __init__(self, config: uvicorn.Config, readiness: Readiness, drain_seconds: float) -> None:
        super().__init__(config)
        self._readiness = readiness
        self._drain_seconds = drain_seconds
        self._deadline: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the drain; a second signal, or an interrupt from the keyboard, ends it."""
        if self.should_exit:
            self.force_exit = True
        elif sig == signal.SIGINT or self._readiness.draining:
            self.should_exit = True
        self._readiness.draining = True

    async def on_tick(self, counter: int) -> bool:
        """Tell whether the drain is over."""
        now = asyncio.get_running_loop().time()
        if self._readiness.draining:
            self._deadline = self._deadline or now + self._drain_seconds
            if now >= self._deadline:
                self.should_exit = True
        return await super().on_tick(counter)


def serve(policy: Policy, options: ServerOptions, announce: Callable[[], Any] = lambda: None) -> None:
    """Serve until a signal ends it."""
    configure_logs(options.log_level)
    readiness = Readiness()
    config = uvicorn.Config(
        create_application(policy, options.limits, readiness),
        host=options.host,
        port=options.port,
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
        loop="uvloop",
        http=protocol_class(options.head_seconds, readiness),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        backlog=2048,
        timeout_keep_alive=options.idle_seconds,
        timeout_graceful_shutdown=options.finish_seconds,
    )
    announce()
    DrainingServer(config, readiness, options.drain_seconds).run()
