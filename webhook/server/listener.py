"""The listening sockets: accepts connections that can be dropped from the first byte on, before the TLS handshake."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Protocol, cast

ANY_ADDRESS = "::"
"""All IPv6 and IPv4 addresses of this machine."""
_IPV6_ERRORS = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""The kernel's errors if IPv6 is missing or disabled."""
_RETRY_SECONDS = 0.1
"""Seconds until accepting is retried if the process or machine has too many open files."""


def bind(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Return a listening socket.

    For any address, it accepts IPv6 and IPv4, or only IPv4 on a machine without IPv6.

    Raises:
        OSError: it is not possible to listen on the address.

    """
    if host == ANY_ADDRESS:
        try:
            return [socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=backlog)]
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in _IPV6_ERRORS:
                raise
        host = "0.0.0.0"  # noqa: S104 - what was asked for
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return [socket.create_server((host, port), family=family, backlog=backlog)]


class AcceptedConnection(Protocol):
    """A protocol that learns about its connection before the handshake."""

    def handshake_started(self, handshake: asyncio.Task[None]) -> None:
        """Start; cancelling the handshake drops the connection."""

    def handshake_failed(self) -> None:
        """Stop: the handshake has failed."""


class Listener:
    """Accepts connections from sockets until it is closed; implements what uvicorn needs of an asyncio.Server."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext,
        seconds: float,
    ) -> None:
        """Start; `seconds` limits how long a client may take for TLS handshake and shutdown."""
        self._loop = asyncio.get_running_loop()
        self._protocol_factory = protocol_factory
        self._context = context
        self._seconds = seconds
        self.sockets = tuple(sockets)
        for listening in sockets:
            listening.setblocking(False)
        self._accept_tasks = [self._loop.create_task(self._accept(listening)) for listening in sockets]
        self._handshake_tasks: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Stop accepting; existing connections stay open."""
        for task in self._accept_tasks:
            task.cancel()
        for listening in self.sockets:
            listening.close()

    async def wait_closed(self) -> None:
        """Wait until accepting has stopped."""
        await asyncio.gather(*self._accept_tasks, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            # Whatever goes wrong with one connection, the next one is accepted; liveness probes need a connection, too.
            try:
                connection, _ = await self._loop.sock_accept(listening)
                self._start_handshake(connection)
            except Exception as error:
                if not isinstance(error, OSError):
                    self._loop.call_exception_handler({"message": "cannot accept a connection", "exception": error})
                await asyncio.sleep(_RETRY_SECONDS)

    def _start_handshake(self, connection: socket.socket) -> None:
        try:
            protocol = self._protocol_factory()
            handshake = self._loop.create_task(self._handshake(protocol, connection))
            self._handshake_tasks.add(handshake)
            handshake.add_done_callback(self._handshake_tasks.discard)
            cast(AcceptedConnection, protocol).handshake_started(handshake)
        except Exception:
            connection.close()
            raise

    async def _handshake(self, protocol: asyncio.BaseProtocol, connection: socket.socket) -> None:
        # uvloop: cancelling this closes no socket, and a failed handshake never calls `connection_made`.
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
            cast(AcceptedConnection, protocol).handshake_failed()
