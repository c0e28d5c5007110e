"""Listens, and accepts connections that can be dropped from their first byte on, before TLS has said hello."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Protocol, cast

_BREATH = 0.1
"""Seconds until the next try to accept, where the process or the machine has too many files open."""


class Accepted(Protocol):
    """A protocol that is told of its connection before the handshake."""

    def accepted(self, handshake: asyncio.Task[None]) -> None:
        """Begin; whoever cancels the handshake drops the connection."""

    def failed(self) -> None:
        """End: the handshake has come to nothing."""


class Listener:
    """Accepts connections from sockets until it is closed: what uvicorn asks of an asyncio.Server."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        make_protocol: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext,
        seconds: float,
    ) -> None:
        """Begin; a client has so many seconds for its part at the begin of TLS, and at its end."""
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
        """Accept nothing more; connections that are there, live on."""
        for task in self._accepting:
            task.cancel()
        for listening in self.sockets:
            listening.close()

    async def wait_closed(self) -> None:
        """Wait until nothing more is accepted."""
        await asyncio.gather(*self._accepting, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            # Whatever goes wrong with one connection, the next one is accepted; liveness asks by a connection, too.
            try:
                connection, _ = await self._loop.sock_accept(listening)
                self._take(connection)
            except Exception as error:
                if not isinstance(error, OSError):
                    self._loop.call_exception_handler({"message": "a connection was not accepted", "exception": error})
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
            # Of the client's making, mostly: it spoke no TLS, left, or took too long; or it was dropped.
            connection.close()
            cast(Accepted, protocol).failed()
