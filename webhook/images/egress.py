"""Restricts outgoing requests: pods name the hosts, and must not use the webhook to reach what they cannot."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import httpcore2
from httpcore2 import SOCKET_OPTION, AsyncNetworkStream
from httpx2 import URL, InvalidURL

from webhook.core.reasons import Reason
from webhook.core.recognize.image_names import DOCKER_HUB
from webhook.images.dns import DnsResolver
from webhook.images.errors import LookupFailed, printable
from webhook.images.options import LookupOptions

PORTS = {"https": 443, "http": 80}
_MAX_ADDRESSES = 4

# The hosts of Docker Hub, for an operator who allows it by the name in image names.
# https://docs.docker.com/desktop/setup/allow-list/
_HUB_HOSTS = (
    "registry-1.docker.io",
    "auth.docker.io",
    "production.cloudflare.docker.com",
    "production.cloudfront.docker.com",
    "docker-images-prod.*.r2.cloudflarestorage.com",
)

# Metadata services of clouds, which return credentials, besides 169.254.169.254.
_METADATA = tuple(
    map(
        ipaddress.ip_address,
        (
            "fd00:ec2::254",  # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
            "fd20:ce::254",  # https://docs.cloud.google.com/compute/docs/metadata/querying-metadata
            "100.100.100.200",  # https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
            "168.63.129.16",  # https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
        ),
    )
)
# IPv4 addresses in the last 32 bits of IPv6: for NAT64 (https://www.rfc-editor.org/rfc/rfc6052#section-2.1), for local
# NAT64 (https://www.rfc-editor.org/rfc/rfc8215), and the deprecated IPv4-compatible ones
# (https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.1).
_IPV4_AT_END = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))


class EgressPolicy:
    """Decides which hosts and addresses are allowed."""

    def __init__(self, options: LookupOptions) -> None:
        hosts = options.hosts
        self._hosts = (*hosts, *_HUB_HOSTS) if DOCKER_HUB in hosts else hosts
        self._plain_http = options.plain_http
        self._local_hosts = options.local_hosts
        self._resolver = DnsResolver()

    def base_url(self, host: str) -> URL:
        """Return the base URL of a registry's API; `host` may include a port.

        Raises:
            LookupFailed: it is not a valid host.

        """
        name, colon, digits = host.rpartition(":")
        name, port = (name, int(digits)) if colon and digits.isdecimal() else (host, PORTS["http"])
        scheme = "http" if _matches(_without_brackets(name), port, self._plain_http, PORTS["http"]) else "https"
        try:
            return URL(f"{scheme}://{host}/v2/")
        except InvalidURL:
            raise LookupFailed(Reason.IMAGE_NAME_INVALID, f"{printable(host)} is not a valid registry host") from None

    def check_url(self, url: URL) -> None:
        """Check that a URL is allowed.

        Raises:
            LookupFailed: its host, or plain HTTP for it, is not allowed.

        """
        host, port = host_of(url), port_of(url)
        if url.scheme not in PORTS or not host:
            raise _forbidden(f"{printable(str(url.scheme))} is neither https nor http")
        if self._hosts and not _matches(host, port, self._hosts, PORTS[url.scheme]):
            raise _forbidden(f"{authority(url)} is not allowed by --registry-host")
        if url.scheme == "http" and not _matches(host, port, self._plain_http, PORTS["http"]):
            raise _forbidden(f"{authority(url)} has no TLS; to allow that, use --registry-plain-http")

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Resolve a host name to its allowed addresses.

        Raises:
            LookupFailed: none of them is allowed.
            OSError: the name does not resolve.

        """
        addresses = await self._resolver.resolve(host)
        if _matches(host, port, self._local_hosts, *PORTS.values()):
            return addresses
        allowed = [address for address in addresses if not _is_local(address)]
        if not allowed:
            endpoint = f"{printable(_with_brackets(host))}:{port}"
            raise _forbidden(f"{endpoint} has a loopback or link-local address; to allow that, use --registry-local")
        return allowed


class CheckedNetworkBackend(httpcore2.AsyncNetworkBackend):
    """Resolves names itself and connects to the checked address: a second lookup might return another one.

    https://owasp.org/www-community/attacks/DNS_Rebinding
    """

    def __init__(self, egress: EgressPolicy) -> None:
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
        addresses = (await self._egress.resolve(host, port))[:_MAX_ADDRESSES]
        seconds = timeout and timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(address, port, seconds, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._network.connect_tcp(addresses[-1], port, seconds, local_address, socket_options)


def host_of(url: URL) -> str:
    """Return a URL's host without brackets, for resolving."""
    return _without_brackets(url.raw_host.decode("ascii").lower())


def port_of(url: URL) -> int:
    """Return a URL's port."""
    return url.port or PORTS.get(url.scheme, 0)


def authority(url: URL) -> str:
    """Return a URL's host, and its port if that is not the default, for messages."""
    port = "" if port_of(url) == PORTS.get(url.scheme) else f":{port_of(url)}"
    return printable(_with_brackets(host_of(url))) + port


def is_same_origin(first: URL, second: URL) -> bool:
    """Tell whether two URLs have the same origin."""
    return (first.scheme, host_of(first), port_of(first)) == (second.scheme, host_of(second), port_of(second))


def _without_brackets(host: str) -> str:
    return host.removeprefix("[").removesuffix("]")


def _with_brackets(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _matches(host: str, port: int, patterns: Iterable[str], *default_ports: int) -> bool:
    name = _with_brackets(host).lower()
    names = [f"{name}:{port}", *([name] if port in default_ports else [])]
    # Also compare for equality: the brackets of an address are pattern characters.
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in map(str.lower, patterns) for name in names)


def _is_local(text: str) -> bool:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if embedded is None and any(address in network for network in _IPV4_AT_END):
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None:
            return _is_local(str(embedded))
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or (address.version == 4 and address.is_reserved)
        or address in _METADATA
        or (address.version == 4 and int(address) >> 24 == 0)
    )


def _forbidden(detail: str) -> LookupFailed:
    return LookupFailed(Reason.IMAGE_HOST_FORBIDDEN, detail)
