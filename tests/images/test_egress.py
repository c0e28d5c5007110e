"""The hosts and addresses to which lookups may connect, whatever image a pod names."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import trustme
from httpx2 import URL

from tests.images.lookups import expect_unavailable, look_up, open_lookup
from tests.images.oci_images import build_image
from tests.images.scripted_registry import RegistryWithImage, serve
from webhook.core.reasons import Reason
from webhook.images.egress import EgressPolicy
from webhook.images.errors import LookupFailed
from webhook.images.http import HttpClient, Request
from webhook.images.options import LookupOptions


def is_forbidden(options: LookupOptions, host: str, port: int = 443) -> bool:
    try:
        asyncio.run(EgressPolicy(options).resolve(host, port))
    except LookupFailed as failed:
        return failed.reason is Reason.IMAGE_HOST_FORBIDDEN and "--registry-local" in failed.unavailable.detail
    return False


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.8.8",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "100.100.100.200",
        "168.63.129.16",
        "::1",
        "::",
        "fe80::1",
        "ff02::1",
        "fd00:ec2::254",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",
        "::127.0.0.1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "2002:7f00:1::",
        "localhost",
    ],
)
def test_loopback_link_local_multicast_and_metadata_addresses_are_forbidden(host: str) -> None:
    assert is_forbidden(LookupOptions(), host)
    assert is_forbidden(LookupOptions(local_hosts=("other.test",)), host)
    assert not is_forbidden(LookupOptions(local_hosts=("*",)), host)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8", "fd12::1", "2606:4700::1"]
)
def test_other_addresses_including_private_ones_are_allowed(host: str) -> None:
    assert not is_forbidden(LookupOptions(), host)


@pytest.mark.parametrize(
    ("pattern", "host", "port", "forbidden"),
    [
        ("localhost", "localhost", 443, False),
        ("LOCALHOST", "localhost", 80, False),
        ("localhost", "localhost", 5000, True),
        ("localhost:5000", "localhost", 5000, False),
        ("localhost:5000", "localhost", 443, True),
        ("[::1]:5000", "::1", 5000, False),
        ("[::1]", "::1", 443, False),
    ],
)
def test_a_local_host_is_allowed_for_its_port_only(pattern: str, host: str, port: int, forbidden: bool) -> None:
    assert is_forbidden(LookupOptions(local_hosts=(pattern,)), host, port) is forbidden


def refusal(options: LookupOptions, url: str) -> str:
    try:
        EgressPolicy(options).check_url(URL(url))
    except LookupFailed as failed:
        return failed.unavailable.detail if failed.reason is Reason.IMAGE_HOST_FORBIDDEN else ""
    return ""


@pytest.mark.parametrize(
    ("hosts", "url", "allowed"),
    [
        ((), "https://anything.test/", True),
        (("ghcr.io",), "https://ghcr.io/v2/", True),
        (("ghcr.io",), "https://ghcr.io:443/v2/", True),
        (("ghcr.io",), "https://GHCR.io/v2/", True),
        (("ghcr.io",), "https://ghcr.io:5000/v2/", False),
        (("ghcr.io",), "https://xghcr.io/v2/", False),
        (("ghcr.io",), "https://ghcr.io.evil.test/v2/", False),
        (("ghcr.io",), "https://ghcr.io@evil.test/v2/", False),
        (("*.example.com:5000",), "https://a.b.example.com:5000/", True),
        (("*.example.com:5000",), "https://example.com:5000/", False),
        (("quay.io", "ghcr.io"), "https://ghcr.io/", True),
        (("docker.io",), "https://registry-1.docker.io/v2/", True),
        (("docker.io",), "https://auth.docker.io/token", True),
        (("docker.io",), "https://production.cloudflare.docker.com/x", True),
        (("docker.io",), "https://ghcr.io/", False),
    ],
)
def test_only_hosts_that_match_a_pattern_are_allowed(hosts: tuple[str, ...], url: str, allowed: bool) -> None:
    detail = refusal(LookupOptions(hosts=hosts), url)
    assert allowed is not bool(detail)
    assert allowed or "--registry-host" in detail


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://plain.test/", True),
        ("http://plain.test:80/", True),
        ("http://plain.test:5000/", False),
        ("http://port.test:5000/", True),
        ("http://port.test/", False),
        ("https://port.test/", True),
        ("http://other.test/", False),
    ],
)
def test_plain_http_is_allowed_only_for_the_configured_hosts(url: str, allowed: bool) -> None:
    detail = refusal(LookupOptions(plain_http=("plain.test", "port.test:5000")), url)
    assert allowed is not bool(detail)
    assert allowed or "--registry-plain-http" in detail


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("ghcr.io", "https://ghcr.io/v2/"),
        ("ghcr.io:5000", "https://ghcr.io:5000/v2/"),
        ("plain.test", "http://plain.test/v2/"),
        ("plain.test:443", "https://plain.test/v2/"),
        ("port.test:5000", "http://port.test:5000/v2/"),
        ("port.test", "https://port.test/v2/"),
        ("[::1]:5000", "http://[::1]:5000/v2/"),
        ("[::1]", "https://[::1]/v2/"),
    ],
)
def test_the_base_url_uses_https_unless_the_host_is_configured_for_plain_http(host: str, base: str) -> None:
    options = LookupOptions(plain_http=("plain.test", "port.test:5000", "[::1]:5000"))
    assert str(EgressPolicy(options).base_url(host)) == base


@pytest.mark.parametrize("host", ["[:::]", "[1::2::3]:5000", "[12345::]"])
def test_an_invalid_host_is_reported_as_an_invalid_image_name(host: str) -> None:
    with pytest.raises(LookupFailed) as raised:
        EgressPolicy(LookupOptions()).base_url(host)
    assert raised.value.reason is Reason.IMAGE_NAME_INVALID


def test_a_pod_cannot_make_a_lookup_connect_to_a_local_address(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        async with (
            serve(RegistryWithImage(build_image()), authority) as server,
            open_lookup(LookupOptions(ca_file=ca_file)) as lookup,
        ):
            detail = expect_unavailable(await look_up(lookup, f"{server.host}/team/app"), Reason.IMAGE_HOST_FORBIDDEN)
            assert server.host in detail
            assert not server.requests

    asyncio.run(scenario())


class Resolving(EgressPolicy):
    """Resolves the name to the given addresses, and only once."""

    def __init__(self, options: LookupOptions, addresses: Sequence[str]) -> None:
        super().__init__(options)
        self._results: list[Any] = [addresses]

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        found: Sequence[str] = self._results.pop()
        return found


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.2", "127.0.0.1"]])
def test_the_checked_address_is_used_and_the_certificate_is_verified_for_the_name(
    authority: trustme.CA, ca_file: Path, addresses: list[str]
) -> None:
    # A second lookup of the name would fail, or return an address that its owner has changed.
    async def scenario() -> None:
        async with serve(RegistryWithImage(build_image()), authority, "registry.test") as server:
            egress = Resolving(LookupOptions(), addresses)
            async with aclosing(HttpClient(egress, ca_file)) as client:
                url = URL(f"https://{server.host}/v2/")
                assert (await client.send(Request("GET", url))).status == 200
            assert server.requests[0].headers["host"] == server.host

    asyncio.run(scenario())
