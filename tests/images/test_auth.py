"""Authentication at registries: passwords, tokens, and token servers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import trustme

from tests.images.lookups import expect_image, expect_unavailable, look_up, open_lookup, trust
from tests.images.oci_images import build_image
from tests.images.scripted_registry import ReceivedRequest, RegistryWithImage, Reply, ScriptedRegistry, serve
from webhook.core.image_config import Image, Unavailable
from webhook.core.reasons import Reason
from webhook.images.credentials import Credential, Keyring
from webhook.images.options import LookupOptions

BUILT = build_image({"Entrypoint": ["consume"]})
BASIC = f"Basic {Credential('worker', 'secret').basic}"


@dataclass
class TokenRegistry:
    """A registry that requires a token of its token server; a token is valid for `uses` requests."""

    realm: str = "https://{host}/token"
    token_field: str = "token"
    uses: int = 100
    user: str = ""
    """The Authorization header that gets a token; if empty, every client gets one."""
    host: str = ""
    issued: list[str] = field(default_factory=list)
    used: int = 0

    def __call__(self, request: ReceivedRequest) -> Reply:
        if request.path == "/token":
            return self.issue(request)
        if not self.issued or request.authorization != f"Bearer {self.issued[-1]}" or self.used >= self.uses:
            realm = self.realm.format(host=self.host)
            scope = "repository:team/app:pull"
            challenge = f'Bearer realm="{realm}",service="a registry",scope="{scope}"'
            return Reply(401, (("WWW-Authenticate", challenge),))
        self.used += 1
        return RegistryWithImage(BUILT)(request)

    def issue(self, request: ReceivedRequest) -> Reply:
        if self.user and request.authorization != self.user:
            return Reply(401)
        self.issued.append(f"token-{len(self.issued)}")
        self.used = 0
        return Reply(content=json.dumps({self.token_field: self.issued[-1], "expires_in": 60}).encode())


def look_up_once(
    registry: TokenRegistry, authority: trustme.CA, ca_file: Path, credentials: Keyring | None = None
) -> tuple[Image | Unavailable, ScriptedRegistry]:
    async def scenario() -> tuple[Image | Unavailable, ScriptedRegistry]:
        async with (
            serve(registry, authority) as server,
            open_lookup(trust(ca_file), credentials=credentials) as lookup,
        ):
            registry.host = server.host
            return await look_up(lookup, f"{server.host}/team/app"), server

    return asyncio.run(scenario())


class KeyringForAnyHost(Keyring):
    """One credential for all registries, because the ports of the tests' registries are not known in advance."""

    def __init__(self, credential: Credential) -> None:
        super().__init__()
        self._credential = credential

    async def find(self, reference: object) -> list[Credential]:
        return [self._credential]


WORKER = KeyringForAnyHost(Credential("worker", "secret"))


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_a_token_is_fetched_for_the_scope_that_the_registry_names(
    authority: trustme.CA, ca_file: Path, name: str
) -> None:
    result, server = look_up_once(TokenRegistry(token_field=name), authority, ca_file)
    expect_image(result)
    (token_request,) = (request for request in server.requests if request.path == "/token")
    assert token_request.query == {"service": ["a registry"], "scope": ["repository:team/app:pull"]}
    assert not token_request.authorization


def test_the_password_goes_to_the_token_server_and_the_token_to_the_registry(
    authority: trustme.CA, ca_file: Path
) -> None:
    result, server = look_up_once(TokenRegistry(user=BASIC), authority, ca_file, WORKER)
    expect_image(result)
    for request in server.requests:
        assert request.authorization == (BASIC if request.path == "/token" else request.authorization)
        assert request.path == "/token" or request.authorization in ("", "Bearer token-0")


def test_a_token_that_expires_during_a_lookup_is_renewed_once(authority: trustme.CA, ca_file: Path) -> None:
    registry = TokenRegistry(uses=1)
    result, _ = look_up_once(registry, authority, ca_file)
    expect_image(result)
    assert len(registry.issued) == 2


def test_an_image_is_denied_if_the_registry_accepts_no_token(authority: trustme.CA, ca_file: Path) -> None:
    registry = TokenRegistry(uses=0)
    result, _ = look_up_once(registry, authority, ca_file)
    expect_unavailable(result, Reason.IMAGE_DENIED)
    assert len(registry.issued) <= 2


def test_an_identity_token_is_exchanged_for_a_token(authority: trustme.CA, ca_file: Path) -> None:
    result, server = look_up_once(
        TokenRegistry(), authority, ca_file, KeyringForAnyHost(Credential(identity_token="identity&more"))
    )
    expect_image(result)
    (token_request,) = (request for request in server.requests if request.path == "/token")
    assert token_request.method == "POST"
    form = parse_qs(token_request.body.decode())
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["identity&more"]
    assert form["scope"] == ["repository:team/app:pull"]


def test_a_registry_token_is_sent_unchanged(authority: trustme.CA, ca_file: Path) -> None:
    registry = TokenRegistry(issued=["kept"])
    result, server = look_up_once(registry, authority, ca_file, KeyringForAnyHost(Credential(registry_token="kept")))
    expect_image(result)
    assert not server.count("GET", "/token")


def test_basic_authentication_is_used_if_the_registry_does_not_request_bearer(
    authority: trustme.CA, ca_file: Path
) -> None:
    class Basic(TokenRegistry):
        def __call__(self, request: ReceivedRequest) -> Reply:
            if request.authorization == BASIC:
                return RegistryWithImage(BUILT)(request)
            return Reply(401, (("WWW-Authenticate", "Negotiate abc=="), ("WWW-Authenticate", 'Basic realm="x"')))

    expect_image(look_up_once(Basic(), authority, ca_file, WORKER)[0])


@pytest.mark.parametrize("status", [401, 403])
def test_if_the_token_server_issues_no_token_the_error_names_its_host(
    authority: trustme.CA, ca_file: Path, status: int
) -> None:
    class Strict(TokenRegistry):
        def issue(self, request: ReceivedRequest) -> Reply:
            return Reply(status)

    registry = Strict()
    detail = expect_unavailable(look_up_once(registry, authority, ca_file, WORKER)[0], Reason.IMAGE_DENIED)
    assert f"{registry.host} returned {status} for the credentials" in detail
    assert "secret" not in detail


def test_a_public_image_is_found_even_with_wrong_credentials(authority: trustme.CA, ca_file: Path) -> None:
    class Public(TokenRegistry):
        def issue(self, request: ReceivedRequest) -> Reply:
            return Reply(401) if request.authorization else super().issue(request)

    expect_image(look_up_once(Public(), authority, ca_file, WORKER)[0])


@pytest.mark.parametrize(
    ("realm", "expected"),
    [
        ("http://{host}/token", "names no token server with TLS"),
        ("/token", "names no token server with TLS"),
        ("https://[::::]/token", "names no token server with TLS"),
        ("file:///etc/passwd", "names no token server with TLS"),
    ],
)
def test_no_password_goes_to_a_realm_without_tls(
    authority: trustme.CA, ca_file: Path, realm: str, expected: str
) -> None:
    result, server = look_up_once(TokenRegistry(realm=realm), authority, ca_file, WORKER)
    assert expected in expect_unavailable(result, Reason.REGISTRY_FAILED)
    assert not any(request.authorization for request in server.requests)


@pytest.mark.parametrize("is_named", [True, False])
def test_a_token_server_without_tls_is_used_only_if_it_is_configured_for_plain_http(is_named: bool) -> None:
    async def scenario() -> None:
        token_server = TokenRegistry()
        async with serve(token_server, None, "localhost") as tokens:
            registry = TokenRegistry(realm=f"http://{tokens.host}/token", issued=token_server.issued)
            async with serve(registry, None) as server:
                plain = (server.host, *([tokens.host] if is_named else []))
                options = LookupOptions(plain_http=plain, local_hosts=("*",))
                async with open_lookup(options, credentials=WORKER) as lookup:
                    result = await look_up(lookup, f"{server.host}/team/app")
                    if is_named:
                        expect_image(result)
                    else:
                        assert "--registry-plain-http" in expect_unavailable(result, Reason.IMAGE_HOST_FORBIDDEN)
                    assert bool(tokens.requests) is is_named

    asyncio.run(scenario())


def test_the_token_server_must_be_an_allowed_host_too(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        other = TokenRegistry()
        async with serve(other, authority, "localhost") as tokens:
            registry = TokenRegistry(realm=f"https://{tokens.host}/token")
            async with (
                serve(registry, authority) as server,
                open_lookup(trust(ca_file, hosts=("127.0.0.1:*",)), credentials=WORKER) as lookup,
            ):
                detail = expect_unavailable(
                    await look_up(lookup, f"{server.host}/team/app"), Reason.IMAGE_HOST_FORBIDDEN
                )
            assert tokens.host in detail
            assert "--registry-host" in detail
            assert not tokens.requests

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"token": 7}', b'{"token": "two words"}', b'{"token": "a\\r\\nX: y"}', b"[" * 60000, b"\xff"],
)
def test_a_malformed_token_is_reported_but_not_quoted(authority: trustme.CA, ca_file: Path, content: bytes) -> None:
    class Odd(TokenRegistry):
        def issue(self, request: ReceivedRequest) -> Reply:
            return Reply(content=content)

    assert "no readable token" in expect_unavailable(look_up_once(Odd(), authority, ca_file)[0], Reason.REGISTRY_FAILED)


def test_a_token_response_is_limited_to_64_kib(authority: trustme.CA, ca_file: Path) -> None:
    class Huge(TokenRegistry):
        def issue(self, request: ReceivedRequest) -> Reply:
            return Reply(content=b'{"token": "%s"}' % (b"x" * 65536))

    assert "more than 64 KiB" in expect_unavailable(look_up_once(Huge(), authority, ca_file)[0], Reason.IMAGE_INVALID)
