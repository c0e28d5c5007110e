"""Which redirects are followed, and that other hosts get no credentials."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import trustme

from tests.images.lookups import expect_image, expect_unavailable, look_up, open_lookup, trust
from tests.images.oci_images import build_image
from tests.images.scripted_registry import ReceivedRequest, RegistryWithImage, Reply, ScriptedRegistry, serve
from tests.images.test_auth import BASIC, WORKER
from webhook.core.image_config import Image, Unavailable
from webhook.core.reasons import Reason
from webhook.images.options import LookupOptions

BUILT = build_image({"Entrypoint": ["consume"]})


def redirecting(location: str, status: int = 307) -> RegistryWithImage:
    """Return a registry that accepts one user and redirects requests for blobs."""

    class Redirects(RegistryWithImage):
        def __call__(self, request: ReceivedRequest) -> Reply:
            if request.authorization != BASIC:
                return Reply(401, (("WWW-Authenticate", "Basic"),))
            elsewhere = location.replace("{path}", request.path)
            return Reply(status, (("Location", elsewhere),)) if "/blobs/" in request.path else super().__call__(request)

    return Redirects(BUILT)


async def look_up_once(
    registry: RegistryWithImage, authority: trustme.CA, options: LookupOptions
) -> tuple[Image | Unavailable, ScriptedRegistry]:
    async with serve(registry, authority) as server, open_lookup(options, credentials=WORKER) as lookup:
        return await look_up(lookup, f"{server.host}/team/app"), server


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_are_not_sent_to_another_host(authority: trustme.CA, ca_file: Path, status: int) -> None:
    async def scenario() -> None:
        async with serve(RegistryWithImage(BUILT), authority, "localhost") as elsewhere:
            registry = redirecting(f"https://{elsewhere.host}{{path}}?X-Signature=abc", status)
            expect_image((await look_up_once(registry, authority, trust(ca_file)))[0])
            (request,) = elsewhere.requests
            assert "authorization" not in request.headers
            assert request.query == {"X-Signature": ["abc"]}

    asyncio.run(scenario())


def test_a_redirects_target_cannot_request_the_credentials(authority: trustme.CA, ca_file: Path) -> None:
    """CVE-2020-15157: the other host names a token server of its own."""

    async def scenario() -> None:
        def request_credentials(request: ReceivedRequest) -> Reply:
            if request.path == "/token":
                return Reply(content=b'{"token": "t"}')
            realm = f'Bearer realm="https://{elsewhere.host}/token",service="s"'
            return Reply(401, (("WWW-Authenticate", realm), ("WWW-Authenticate", "Basic")))

        def redirect(request: ReceivedRequest) -> Reply:
            return Reply(307, (("Location", f"https://{elsewhere.host}{request.path}"),))

        async with (
            serve(request_credentials, authority, "localhost") as elsewhere,
            serve(redirect, authority) as server,
            open_lookup(trust(ca_file), credentials=WORKER) as lookup,
        ):
            expect_unavailable(await look_up(lookup, f"{server.host}/team/app"), Reason.IMAGE_DENIED)
            assert elsewhere.requests
            assert [request.path for request in elsewhere.requests if request.authorization] == []

    asyncio.run(scenario())


def test_a_redirect_to_another_path_of_the_registry_keeps_the_credentials(authority: trustme.CA, ca_file: Path) -> None:
    class Moved(RegistryWithImage):
        def __call__(self, request: ReceivedRequest) -> Reply:
            if request.authorization != BASIC:
                return Reply(401, (("WWW-Authenticate", "Basic"),))
            if "/blobs/" in request.path and not request.query:
                return Reply(302, (("Location", f"{request.path}?moved=1"),))
            return super().__call__(request)

    expect_image(asyncio.run(look_up_once(Moved(BUILT), authority, trust(ca_file)))[0])


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://127.0.0.1:1/", "redirects away from TLS"),
        ("ftp://127.0.0.1/", "redirects away from TLS"),
        ("https://[:::::]/", "redirects to an invalid URL"),
        ("{path}", "redirects more than 5 times"),
    ],
)
def test_a_redirect_that_drops_tls_is_invalid_or_never_ends_is_not_followed(
    authority: trustme.CA, ca_file: Path, location: str, expected: str
) -> None:
    result, _ = asyncio.run(look_up_once(redirecting(location), authority, trust(ca_file)))
    assert expected in expect_unavailable(result, Reason.REGISTRY_FAILED)


def test_a_redirect_to_a_host_that_is_not_allowed_is_not_followed(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        async with serve(RegistryWithImage(BUILT), authority, "localhost") as elsewhere:
            registry = redirecting(f"https://{elsewhere.host}{{path}}")
            result, _ = await look_up_once(registry, authority, trust(ca_file, hosts=("127.0.0.1:*",)))
            assert "--registry-host" in expect_unavailable(result, Reason.IMAGE_HOST_FORBIDDEN)
            assert not elsewhere.requests

    asyncio.run(scenario())


def test_a_redirect_to_a_local_address_is_not_followed(authority: trustme.CA, ca_file: Path) -> None:
    # For example to a cloud's metadata service, from a registry that the pod's author controls.
    async def scenario() -> None:
        async with serve(RegistryWithImage(BUILT), authority, "localhost") as elsewhere:
            registry = redirecting(f"https://{elsewhere.host}{{path}}?secret=1")
            result, _ = await look_up_once(registry, authority, trust(ca_file, local_hosts=("127.0.0.1:*",)))
            detail = expect_unavailable(result, Reason.IMAGE_HOST_FORBIDDEN)
            assert "--registry-local" in detail
            assert "secret" not in detail
            assert not elsewhere.requests

    asyncio.run(scenario())
