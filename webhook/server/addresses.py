"""Addresses to listen on."""

from __future__ import annotations

import errno
import socket

ANY_ADDRESS = "::"
"""All IPv6 and IPv4 addresses of this machine."""
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""The kernel's errors if IPv6 is missing or disabled."""


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
            if isinstance(error, OSError) and error.errno not in _NO_IPV6:
                raise
        host = "0.0.0.0"  # noqa: S104 - what was asked for
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return [socket.create_server((host, port), family=family, backlog=backlog)]
