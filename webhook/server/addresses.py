"""Addresses to listen on."""

from __future__ import annotations

import errno
import socket

ANY_ADDRESS = "::"
"""Every address of this machine, of IPv6 and IPv4."""
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""What the kernel says where it has no IPv6, or where that is switched off."""


def bind(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Return a socket that listens.

    On any address, it takes IPv6 and IPv4, or IPv4 alone on a machine that has no IPv6.

    Raises:
        OSError: the address cannot be listened on.

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
