"""Listens, and accepts connections that can be dropped from the first byte on, before the TLS handshake."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Protocol, cast

_BREATH = 0.1
"""Seconds until accepting is retried if the process or machine has too many open files."""


class Accepted(Protocol):
    """A protocol that learns about its connection before the handshake."""

    def accepted(self, handshake: asyncio.Task[None]) -> None:
        """Start; cancelling the handshake drops the connection."""

    def failed(self) -> None:
        """Stop: the handshake has failed."""


class Listener:
    """Accepts connections from sockets until it is closed; implements what uvicorn needs of an asyncio.Server."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        make_protocol: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext,
        seconds: float,
    ) -> None:
        """Start; `seconds` limits how long a client may take for TLS handshake and shutdown."""
        self._loop = asyncio.get_running_loop()
        self._make_protocol = make_protocol
        self._context = context
        self._seconds = seconds
        self.sockets = tuple(sockets)
        for listening in sockets:
            listening.setblocking(False)
        self._accepting = [self._loop.create_task(self._accept(listening)) for listening in sockets]
        self._handshakes: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Stop accepting; existing connections stay open."""
        for task in self._accepting:
            task.cancel()
        for listening in self.sockets:
            listening.close()

    async def wait_closed(self) -> None:
        """Wait until accepting has stopped."""
        await asyncio.gather(*self._accepting, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            # Whatever goes wrong with one connection, the next one is accepted; liveness probes need a connection, too.
            try:
                connection, _ = await self._loop.sock_accept(listening)
                self._take(connection)
            except Exception as error:
                if not isinstance(error, OSError):
                    self._loop.call_exception_handler({"message": "cannot accept a connection", "exception": error})
                await asyncio.sleep(_BREATH)

    def _take(self, connection: socket.socket) -> None:
        try:
            protocol = self._make_protocol()
            handshake = self._loop.create_task(self._shake_hands(protocol, connection))
            self._handshakes.add(handshake)
            handshake.add_done_callback(self._handshakes.discard)
            cast(Accepted, protocol).accepted(handshake)
        except Exception:
            connection.close()
            raise

    async def _shake_hands(self, protocol: asyncio.BaseProtocol, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._seconds,
                ssl_shutdown_timeout=self._seconds,
            )
        except (Exception, asyncio.CancelledError):
            # Usually the client's fault: no TLS, a disconnect, or a timeout; or the connection was dropped.
            connection.close()
            cast(Accepted, protocol).failed()
