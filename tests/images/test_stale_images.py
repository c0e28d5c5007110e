"""A stale result is used while a registry fails: for a limited time, and only for pods with access to the image."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.images.lookups import (
    FakeClock,
    FakeSecrets,
    expect_image,
    expect_unavailable,
    keyring,
    look_up,
    open_lookup,
    trust,
)
from tests.images.oci_images import OciImage, as_json, build_image, build_index
from tests.images.scripted_registry import Handler, ReceivedRequest, RegistryWithImage, Reply, ScriptedRegistry, serve
from webhook.core.image_config import Image, Unavailable
from webhook.core.reasons import Reason
from webhook.images import cache
from webhook.images.credentials import Credential, Keyring
from webhook.images.lookup import ImageLookup
from webhook.images.options import LookupOptions

BUILT = build_image({"Entrypoint": ["consume"]})
MOVED = build_image({"Entrypoint": ["moved"]})
OPTIONS = LookupOptions()
OLD = OPTIONS.tag_seconds + 1
TOO_OLD = OPTIONS.stale_seconds + 1


async def hang(request: ReceivedRequest) -> Reply:
    await asyncio.sleep(60)
    return Reply()


class ReplaceableRegistry:
    """A registry whose handler a test replaces."""

    def __init__(self, handler: Handler | None = None) -> None:
        self.handler: Handler = handler or RegistryWithImage(BUILT)

    def __call__(self, request: ReceivedRequest) -> Any:
        return self.handler(request)


class Setup:
    """A registry whose responses change, and a lookup whose clock a test sets."""

    def __init__(
        self, registry: ReplaceableRegistry, server: ScriptedRegistry, lookup: ImageLookup, clock: FakeClock
    ) -> None:
        self.registry = registry
        self.server = server
        self.clock = clock
        self._lookup = lookup

    async def look_up(self, seconds: float = 8.0, version: str = "", secret: str = "") -> Image | Unavailable:
        spec: dict[str, Any] = {"imagePullSecrets": [{"name": secret}]} if secret else {}
        return await look_up(self._lookup, f"{self.server.host}/team/app{version}", seconds, **spec)


@asynccontextmanager
async def set_up(
    authority: trustme.CA, ca_file: Path, handler: Handler | None = None, **more: Any
) -> AsyncIterator[Setup]:
    registry, clock = ReplaceableRegistry(handler), FakeClock()
    async with serve(registry, authority) as server:
        both = [(f"{server.host}/team", Credential("other", "secret")), (server.host, Credential("worker", "secret"))]
        keyrings = {"right": keyring(server.host), "other": keyring(server.host, "other"), "both": Keyring(both)}
        async with open_lookup(trust(ca_file, **more), clock=clock, secrets=FakeSecrets(keyrings)) as lookup:
            yield Setup(registry, server, lookup, clock)


@pytest.fixture
def run(authority: trustme.CA, ca_file: Path) -> Callable[..., None]:
    def run(scenario: Callable[[Setup], Any], handler: Handler | None = None, **more: Any) -> None:
        async def run_scenario() -> None:
            async with set_up(authority, ca_file, handler, **more) as setup:
                await scenario(setup)

        asyncio.run(run_scenario())

    return run


FAILURES: dict[str, tuple[Handler, str]] = {
    "429": (lambda request: Reply(429), "returned 429"),
    "429-with-time": (lambda request: Reply(429, (("Retry-After", "60"),)), "retry in 60 s"),
    "500": (lambda request: Reply(500), "returned 500"),
    "503": (lambda request: Reply(503), "returned 503"),
    "breaks-off": (lambda request: Reply(raw=b""), "incomplete"),
    "no-http": (lambda request: Reply(raw=b"SSH-2.0\r\n\r\n"), "not HTTP"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_the_last_known_result_is_used_and_contains_the_failure(run: Callable[..., None], name: str) -> None:
    handler, words = FAILURES[name]

    async def scenario(setup: Setup) -> None:
        fresh = expect_image(await setup.look_up())
        assert fresh.stale == ""
        setup.registry.handler = handler
        setup.clock.seconds = OLD
        stale = expect_image(await setup.look_up())
        assert (stale.entrypoint, stale.source) == (fresh.entrypoint, fresh.source)
        assert stale.stale.startswith("registry-failed: ")
        assert words in stale.stale
        setup.clock.seconds = TOO_OLD
        assert words in expect_unavailable(await setup.look_up(), Reason.REGISTRY_FAILED)

    run(scenario)


def test_a_failure_is_cached_and_the_next_response_replaces_the_stale_result(run: Callable[..., None]) -> None:
    async def scenario(setup: Setup) -> None:
        expect_image(await setup.look_up())
        setup.registry.handler = lambda request: Reply(400)
        setup.clock.seconds = OLD
        assert expect_image(await setup.look_up()).stale
        count = len(setup.server.requests)
        assert expect_image(await setup.look_up()).stale
        assert len(setup.server.requests) == count
        setup.registry.handler = RegistryWithImage(MOVED)
        setup.clock.seconds = OLD + OPTIONS.failure_seconds
        fresh = expect_image(await setup.look_up())
        assert (fresh.entrypoint, fresh.stale) == (("moved",), "")

    run(scenario)


def test_the_age_counts_from_the_last_confirmation_by_the_registry(run: Callable[..., None]) -> None:
    async def scenario(setup: Setup) -> None:
        expect_image(await setup.look_up())
        setup.clock.seconds = TOO_OLD - 2
        assert expect_image(await setup.look_up()).stale == ""
        setup.registry.handler = lambda request: Reply(500)
        setup.clock.seconds = TOO_OLD + OLD
        assert expect_image(await setup.look_up()).stale

    run(scenario)


def test_when_a_registry_hangs_only_the_first_pod_waits(run: Callable[..., None]) -> None:
    async def scenario(setup: Setup) -> None:
        expect_image(await setup.look_up())
        setup.registry.handler = hang
        setup.clock.seconds = OLD
        assert "registry-too-slow" in expect_image(await setup.look_up(seconds=0.3)).stale
        async with asyncio.timeout(5):
            assert "registry-too-slow" in expect_image(await setup.look_up(seconds=60)).stale

    run(scenario)


def test_an_image_with_a_digest_stays_cached_even_if_the_registry_fails(run: Callable[..., None]) -> None:
    async def scenario(setup: Setup) -> None:
        for version in (f"@{BUILT.digest}", f":old@{BUILT.digest}"):
            expect_image(await setup.look_up(version=version))
        setup.registry.handler = lambda request: Reply(500)
        setup.clock.seconds = 100 * TOO_OLD
        count = len(setup.server.requests)
        for version in (f"@{BUILT.digest}", f":old@{BUILT.digest}", f":new@{BUILT.digest}"):
            assert expect_image(await setup.look_up(version=version)).stale == ""
        assert len(setup.server.requests) == count

    run(scenario)


DEFINITE: dict[str, tuple[Handler, Reason]] = {
    "unauthorized": (lambda request: Reply(401), Reason.IMAGE_DENIED),
    "forbidden": (lambda request: Reply(403), Reason.IMAGE_DENIED),
    "not-found": (lambda request: Reply(404), Reason.IMAGE_NOT_FOUND),
    "invalid": (RegistryWithImage(OciImage(as_json("text/html", "Please log in"))), Reason.IMAGE_INVALID),
    "for-others": (
        RegistryWithImage(build_index({"linux/arm64": MOVED, "linux/s390x": MOVED})),
        Reason.IMAGE_PLATFORM_MISSING,
    ),
}


@pytest.mark.parametrize("name", DEFINITE)
def test_a_definite_response_counts_and_removes_the_last_known_result(run: Callable[..., None], name: str) -> None:
    handler, reason = DEFINITE[name]

    async def scenario(setup: Setup) -> None:
        expect_image(await setup.look_up())
        setup.registry.handler = handler
        setup.clock.seconds = OLD
        expect_unavailable(await setup.look_up(), reason)
        setup.registry.handler = lambda request: Reply(500)
        setup.clock.seconds = 2 * OLD
        expect_unavailable(await setup.look_up(), Reason.REGISTRY_FAILED)

    run(scenario)


def failing(method: str, part: str, built: OciImage = MOVED) -> Handler:
    """Return a registry that fails for some requests only."""
    kept = RegistryWithImage(built)

    def respond(request: ReceivedRequest) -> Reply:
        return Reply(500) if request.method == method and part in request.path else kept(request)

    return respond


@pytest.mark.parametrize(("method", "part"), [("GET", "/blobs/"), ("GET", "/manifests/")])
def test_a_moved_tag_gets_no_stale_result_even_if_the_further_requests_fail(
    run: Callable[..., None], method: str, part: str
) -> None:
    async def scenario(setup: Setup) -> None:
        expect_image(await setup.look_up())
        setup.registry.handler = failing(method, part)
        setup.clock.seconds = OLD
        assert "500" in expect_unavailable(await setup.look_up(), Reason.REGISTRY_FAILED)

    run(scenario)


def only_for(*users: str) -> Handler:
    """Return a registry that shows its image to some users only."""
    kept = RegistryWithImage(BUILT)
    allowed = {f"Basic {Credential(user, 'secret').basic}" for user in users}

    def respond(request: ReceivedRequest) -> Reply:
        return kept(request) if request.authorization in allowed else Reply(401, (("WWW-Authenticate", "Basic"),))

    return respond


@pytest.mark.parametrize("failure", [lambda request: Reply(500), hang], ids=["fails", "hangs"])
@pytest.mark.parametrize("secret", ["", "other"])
def test_a_stale_result_of_one_credential_is_not_used_for_another(
    run: Callable[..., None], failure: Handler, secret: str
) -> None:
    async def scenario(setup: Setup) -> None:
        expect_image(await setup.look_up(secret="right"))
        setup.registry.handler = failure
        setup.clock.seconds = OLD
        results = [await setup.look_up(seconds=1, secret=name) for name in ("right", secret, "right", secret)]
        assert expect_image(results[0]).stale
        assert expect_image(results[2]).stale
        for result in (results[1], results[3]):
            assert isinstance(result, Unavailable)
            assert result.reason in (Reason.REGISTRY_FAILED, Reason.REGISTRY_TOO_SLOW)

    run(scenario, only_for("worker"))


def test_a_stale_result_of_a_public_image_is_used_for_every_pod(run: Callable[..., None]) -> None:
    async def scenario(setup: Setup) -> None:
        expect_image(await setup.look_up())
        setup.registry.handler = lambda request: Reply(500)
        setup.clock.seconds = OLD
        assert expect_image(await setup.look_up(secret="other")).stale

    run(scenario)


def test_a_revoked_credential_gets_no_stale_result_if_another_one_fails(
    run: Callable[..., None],
) -> None:
    denied = only_for()
    right = f"Basic {Credential('worker', 'secret').basic}"

    async def scenario(setup: Setup) -> None:
        expect_image(await setup.look_up(secret="both"))
        setup.registry.handler = lambda request: Reply(500) if request.authorization == right else denied(request)
        setup.clock.seconds = OLD
        expect_unavailable(await setup.look_up(secret="both"), Reason.REGISTRY_FAILED)

    run(scenario, only_for("other"))


def test_if_credentials_cannot_be_read_a_stale_result_of_a_public_image_is_used(run: Callable[..., None]) -> None:
    async def scenario(setup: Setup) -> None:
        expect_image(await setup.look_up())
        setup.clock.seconds = OLD
        assert "credentials" in expect_image(await setup.look_up(secret="unheard-of")).stale

    run(scenario)


def test_the_cache_keeps_the_images_requested_last(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_ENTRIES", 2)
    manifest = json.loads(BUILT.manifest.content)
    registries: Sequence[OciImage] = [
        OciImage(as_json(BUILT.manifest.media_type, {**manifest, "annotations": {"n": str(number)}}), BUILT.blobs)
        for number in range(3)
    ]

    def respond(request: ReceivedRequest) -> Reply:
        number = next((number for number in range(3) if f"v{number}" in request.path), 0)
        return RegistryWithImage(registries[number], tag=f"v{number}")(request)

    async def scenario(setup: Setup) -> None:
        for number in range(3):
            expect_image(await setup.look_up(version=f":v{number}"))
        setup.registry.handler = lambda request: Reply(500)
        setup.clock.seconds = OLD
        expect_unavailable(await setup.look_up(version=":v0"), Reason.REGISTRY_FAILED)
        assert expect_image(await setup.look_up(version=":v1")).stale
        assert expect_image(await setup.look_up(version=":v2")).stale

    run(scenario, respond)
