"""Connections to registries: to addresses that have been checked, by TLS for the host's name, and not too many."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path

import httpcore2
from httpcore2 import SOCKET_OPTION, AsyncNetworkStream

from webhook.images.egress import Egress

_MOST = 64
_MOST_IDLE = 16
_IDLE_SECONDS = 30.0
_MOST_ADDRESSES = 4


def make_pool(egress: Egress, ca_file: Path | None) -> httpcore2.AsyncConnectionPool:
    """Return the connections, none of which is open yet.

    The pool is used as it is, without httpx's client: here a network backend is a parameter, whereas to put one under
    the client takes a private attribute, with which the checks of addresses would be gone unnoticed some day. And
    nothing of what a client would add is wanted: no proxies from the environment, cookies, redirects, decompression.

    Raises:
        OSError: the file with CAs cannot be read, or holds none.

    """
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return httpcore2.AsyncConnectionPool(
        ssl_context=context,
        max_connections=_MOST,
        max_keepalive_connections=_MOST_IDLE,
        keepalive_expiry=_IDLE_SECONDS,
        network_backend=_CheckedNetwork(egress),
    )


class _CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """Resolves names itself and connects to what it has checked: a second look might find another address.

    https://owasp.org/www-community/attacks/DNS_Rebinding
    """

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """Connect to one of a host's addresses, one after the other."""
        addresses = (await self._egress.addresses(host, port))[:_MOST_ADDRESSES]
        seconds = timeout and timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(address, port, seconds, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._network.connect_tcp(addresses[-1], port, seconds, local_address, socket_options)
