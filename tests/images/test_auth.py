"""How it is proved to a registry who asks: passwords, tokens, and servers that give tokens."""

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
class Guard:
    """A registry that wants a token of its server of tokens, which holds for so many requests."""

    realm: str = "https://{host}/token"
    token_field: str = "token"
    uses: int = 100
    user: str = ""
    """Who gets a token, as a header says it; empty: everybody."""
    host: str = ""
    given: list[str] = field(default_factory=list)
    used: int = 0

    def __call__(self, request: ReceivedRequest) -> Reply:
        if request.path == "/token":
            return self.give(request)
        if not self.given or request.authorization != f"Bearer {self.given[-1]}" or self.used >= self.uses:
            realm = self.realm.format(host=self.host)
            scope = "repository:team/app:pull"
            challenge = f'Bearer realm="{realm}",service="a registry",scope="{scope}"'
            return Reply(401, (("WWW-Authenticate", challenge),))
        self.used += 1
        return RegistryWithImage(BUILT)(request)

    def give(self, request: ReceivedRequest) -> Reply:
        if self.user and request.authorization != self.user:
            return Reply(401)
        self.given.append(f"token-{len(self.given)}")
        self.used = 0
        return Reply(content=json.dumps({self.token_field: self.given[-1], "expires_in": 60}).encode())


def learn(
    guard: Guard, authority: trustme.CA, ca_file: Path, credentials: Keyring | None = None
) -> tuple[Image | Unavailable, ScriptedRegistry]:
    async def scenario() -> tuple[Image | Unavailable, ScriptedRegistry]:
        async with (
            serve(guard, authority) as server,
            open_lookup(trust(ca_file), credentials=credentials) as lookup,
        ):
            guard.host = server.host
            return await look_up(lookup, f"{server.host}/team/app"), server

    return asyncio.run(scenario())


class Any(Keyring):
    """One credential for all registries: those of the tests have ports that are not known before."""

    def __init__(self, credential: Credential) -> None:
        super().__init__()
        self._credential = credential

    async def find(self, reference: object) -> list[Credential]:
        return [self._credential]


WORKER = Any(Credential("worker", "secret"))


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_a_token_is_fetched_for_the_scope_that_the_registry_names(
    authority: trustme.CA, ca_file: Path, name: str
) -> None:
    answer, server = learn(Guard(token_field=name), authority, ca_file)
    expect_image(answer)
    (token_request,) = (request for request in server.requests if request.path == "/token")
    assert token_request.query == {"service": ["a registry"], "scope": ["repository:team/app:pull"]}
    assert not token_request.authorization


def test_the_password_goes_to_the_server_of_tokens_and_the_token_to_the_registry(
    authority: trustme.CA, ca_file: Path
) -> None:
    answer, server = learn(Guard(user=BASIC), authority, ca_file, WORKER)
    expect_image(answer)
    for request in server.requests:
        assert request.authorization == (BASIC if request.path == "/token" else request.authorization)
        assert request.path == "/token" or request.authorization in ("", "Bearer token-0")


def test_a_token_that_expires_in_the_middle_is_renewed_once(authority: trustme.CA, ca_file: Path) -> None:
    guard = Guard(uses=1)
    answer, _ = learn(guard, authority, ca_file)
    expect_image(answer)
    assert len(guard.given) == 2


def test_tokens_that_are_never_accepted_end_in_a_denial(authority: trustme.CA, ca_file: Path) -> None:
    guard = Guard(uses=0)
    answer, _ = learn(guard, authority, ca_file)
    expect_unavailable(answer, Reason.IMAGE_DENIED)
    assert len(guard.given) <= 2


def test_an_identity_token_is_exchanged_for_a_token(authority: trustme.CA, ca_file: Path) -> None:
    answer, server = learn(Guard(), authority, ca_file, Any(Credential(identity_token="identity&more")))
    expect_image(answer)
    (token_request,) = (request for request in server.requests if request.path == "/token")
    assert token_request.method == "POST"
    form = parse_qs(token_request.body.decode())
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["identity&more"]
    assert form["scope"] == ["repository:team/app:pull"]


def test_a_registrys_token_is_sent_as_it_is(authority: trustme.CA, ca_file: Path) -> None:
    guard = Guard(given=["kept"])
    answer, server = learn(guard, authority, ca_file, Any(Credential(registry_token="kept")))
    expect_image(answer)
    assert not server.count("GET", "/token")


def test_basic_is_answered_where_bearer_is_not_asked_for(authority: trustme.CA, ca_file: Path) -> None:
    class Basic(Guard):
        def __call__(self, request: ReceivedRequest) -> Reply:
            if request.authorization == BASIC:
                return RegistryWithImage(BUILT)(request)
            return Reply(401, (("WWW-Authenticate", "Negotiate abc=="), ("WWW-Authenticate", 'Basic realm="x"')))

    expect_image(learn(Basic(), authority, ca_file, WORKER)[0])


@pytest.mark.parametrize("status", [401, 403])
def test_where_no_token_is_given_it_is_said_who_denies_it(authority: trustme.CA, ca_file: Path, status: int) -> None:
    class Strict(Guard):
        def give(self, request: ReceivedRequest) -> Reply:
            return Reply(status)

    guard = Strict()
    detail = expect_unavailable(learn(guard, authority, ca_file, WORKER)[0], Reason.IMAGE_DENIED)
    assert f"{guard.host} returned {status} for the credentials" in detail
    assert "secret" not in detail


def test_a_public_image_is_shown_though_the_credentials_are_wrong(authority: trustme.CA, ca_file: Path) -> None:
    class Public(Guard):
        def give(self, request: ReceivedRequest) -> Reply:
            return Reply(401) if request.authorization else super().give(request)

    expect_image(learn(Public(), authority, ca_file, WORKER)[0])


@pytest.mark.parametrize(
    ("realm", "said"),
    [
        ("http://{host}/token", "names no token server with TLS"),
        ("/token", "names no token server with TLS"),
        ("https://[::::]/token", "names no token server with TLS"),
        ("file:///etc/passwd", "names no token server with TLS"),
    ],
)
def test_no_password_goes_to_a_realm_without_tls(authority: trustme.CA, ca_file: Path, realm: str, said: str) -> None:
    answer, server = learn(Guard(realm=realm), authority, ca_file, WORKER)
    assert said in expect_unavailable(answer, Reason.REGISTRY_FAILED)
    assert not any(request.authorization for request in server.requests)


@pytest.mark.parametrize("is_named", [True, False])
def test_without_tls_tokens_are_given_only_by_a_host_that_is_named_too(is_named: bool) -> None:
    async def scenario() -> None:
        guard = Guard()
        async with serve(guard, None, "localhost") as tokens:
            registry = Guard(realm=f"http://{tokens.host}/token", given=guard.given)
            async with serve(registry, None) as server:
                plain = (server.host, *([tokens.host] if is_named else []))
                options = LookupOptions(plain_http=plain, local_hosts=("*",))
                async with open_lookup(options, credentials=WORKER) as lookup:
                    answer = await look_up(lookup, f"{server.host}/team/app")
                    if is_named:
                        expect_image(answer)
                    else:
                        assert "--registry-plain-http" in expect_unavailable(answer, Reason.IMAGE_HOST_FORBIDDEN)
                    assert bool(tokens.requests) is is_named

    asyncio.run(scenario())


def test_the_server_of_tokens_must_be_allowed_too(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        other = Guard()
        async with serve(other, authority, "localhost") as tokens:
            guard = Guard(realm=f"https://{tokens.host}/token")
            async with (
                serve(guard, authority) as server,
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
def test_a_token_that_cannot_be_read_is_said_and_not_quoted(
    authority: trustme.CA, ca_file: Path, content: bytes
) -> None:
    class Odd(Guard):
        def give(self, request: ReceivedRequest) -> Reply:
            return Reply(content=content)

    assert "no readable token" in expect_unavailable(learn(Odd(), authority, ca_file)[0], Reason.REGISTRY_FAILED)


def test_a_reply_with_a_token_is_read_to_64_kib(authority: trustme.CA, ca_file: Path) -> None:
    class Huge(Guard):
        def give(self, request: ReceivedRequest) -> Reply:
            return Reply(content=b'{"token": "%s"}' % (b"x" * 65536))

    assert "more than 64 KiB" in expect_unavailable(learn(Huge(), authority, ca_file)[0], Reason.IMAGE_INVALID)
