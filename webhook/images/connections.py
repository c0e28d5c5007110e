"""Connections to registries: with checked addresses, TLS host names, and limits."""

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
    """Return a connection pool without open connections.

    The pool is used without httpx's client. Its network backend is a public parameter, whereas the client would need a
    private attribute, and a change there could silently disable the address checks. The client's features are not
    wanted, either: proxies from the environment, cookies, redirects, decompression.

    Raises:
        OSError: the CA file cannot be read, or contains no CA.

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
    """Resolves names itself and connects to the checked address: a second lookup might return another one.

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
        """Try a host's addresses one after the other."""
        addresses = (await self._egress.addresses(host, port))[:_MOST_ADDRESSES]
        seconds = timeout and timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(address, port, seconds, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._network.connect_tcp(addresses[-1], port, seconds, local_address, socket_options)
