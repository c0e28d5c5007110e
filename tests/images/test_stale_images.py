"""What was known before serves where a registry cannot be asked: for a while, and for those who were shown it alone."""

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


class Changing:
    """Answers as it is told at the time."""

    def __init__(self, answering: Handler | None = None) -> None:
        self.now: Handler = answering or RegistryWithImage(BUILT)

    def __call__(self, request: ReceivedRequest) -> Any:
        return self.now(request)


class World:
    """A registry whose answers change, and a look-up whose clock is set."""

    def __init__(self, registry: Changing, server: ScriptedRegistry, lookup: ImageLookup, clock: FakeClock) -> None:
        self.registry = registry
        self.server = server
        self.clock = clock
        self._lookup = lookup

    async def look_up(self, seconds: float = 8.0, version: str = "", secret: str = "") -> Image | Unavailable:
        spec: dict[str, Any] = {"imagePullSecrets": [{"name": secret}]} if secret else {}
        return await look_up(self._lookup, f"{self.server.host}/team/app{version}", seconds, **spec)


@asynccontextmanager
async def world(
    authority: trustme.CA, ca_file: Path, answering: Handler | None = None, **more: Any
) -> AsyncIterator[World]:
    registry, clock = Changing(answering), FakeClock()
    async with serve(registry, authority) as server:
        both = [(f"{server.host}/team", Credential("other", "secret")), (server.host, Credential("worker", "secret"))]
        keyrings = {"right": keyring(server.host), "other": keyring(server.host, "other"), "both": Keyring(both)}
        async with open_lookup(trust(ca_file, **more), clock=clock, secrets=FakeSecrets(keyrings)) as lookup:
            yield World(registry, server, lookup, clock)


@pytest.fixture
def run(authority: trustme.CA, ca_file: Path) -> Callable[..., None]:
    def run(scenario: Callable[[World], Any], answering: Handler | None = None, **more: Any) -> None:
        async def all_of_it() -> None:
            async with world(authority, ca_file, answering, **more) as there:
                await scenario(there)

        asyncio.run(all_of_it())

    return run


TROUBLES: dict[str, tuple[Handler, str]] = {
    "429": (lambda request: Reply(429), "returned 429"),
    "429-with-time": (lambda request: Reply(429, (("Retry-After", "60"),)), "retry in 60 s"),
    "500": (lambda request: Reply(500), "returned 500"),
    "503": (lambda request: Reply(503), "returned 503"),
    "breaks-off": (lambda request: Reply(raw=b""), "incomplete"),
    "no-http": (lambda request: Reply(raw=b"SSH-2.0\r\n\r\n"), "not HTTP"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_the_last_known_answer_serves_and_says_why(run: Callable[..., None], name: str) -> None:
    answering, words = TROUBLES[name]

    async def scenario(there: World) -> None:
        fresh = expect_image(await there.look_up())
        assert fresh.stale == ""
        there.registry.now = answering
        there.clock.seconds = OLD
        stale = expect_image(await there.look_up())
        assert (stale.entrypoint, stale.source) == (fresh.entrypoint, fresh.source)
        assert stale.stale.startswith("registry-failed: ")
        assert words in stale.stale
        there.clock.seconds = TOO_OLD
        assert words in expect_unavailable(await there.look_up(), Reason.REGISTRY_FAILED)

    run(scenario)


def test_a_failure_is_remembered_and_the_registry_is_believed_as_soon_as_it_answers(run: Callable[..., None]) -> None:
    async def scenario(there: World) -> None:
        expect_image(await there.look_up())
        there.registry.now = lambda request: Reply(400)
        there.clock.seconds = OLD
        assert expect_image(await there.look_up()).stale
        request = len(there.server.requests)
        assert expect_image(await there.look_up()).stale
        assert len(there.server.requests) == request
        there.registry.now = RegistryWithImage(MOVED)
        there.clock.seconds = OLD + OPTIONS.failure_seconds
        fresh = expect_image(await there.look_up())
        assert (fresh.entrypoint, fresh.stale) == (("moved",), "")

    run(scenario)


def test_the_age_counts_from_when_the_registry_has_confirmed_it_last(run: Callable[..., None]) -> None:
    async def scenario(there: World) -> None:
        expect_image(await there.look_up())
        there.clock.seconds = TOO_OLD - 2
        assert expect_image(await there.look_up()).stale == ""
        there.registry.now = lambda request: Reply(500)
        there.clock.seconds = TOO_OLD + OLD
        assert expect_image(await there.look_up()).stale

    run(scenario)


def test_where_a_registry_hangs_one_pod_waits_and_the_next_ones_do_not(run: Callable[..., None]) -> None:
    async def scenario(there: World) -> None:
        expect_image(await there.look_up())
        there.registry.now = hang
        there.clock.seconds = OLD
        assert "registry-too-slow" in expect_image(await there.look_up(seconds=0.3)).stale
        async with asyncio.timeout(5):
            assert "registry-too-slow" in expect_image(await there.look_up(seconds=60)).stale

    run(scenario)


def test_a_digest_is_known_whatever_becomes_of_the_registry(run: Callable[..., None]) -> None:
    async def scenario(there: World) -> None:
        for version in (f"@{BUILT.digest}", f":old@{BUILT.digest}"):
            expect_image(await there.look_up(version=version))
        there.registry.now = lambda request: Reply(500)
        there.clock.seconds = 100 * TOO_OLD
        request = len(there.server.requests)
        for version in (f"@{BUILT.digest}", f":old@{BUILT.digest}", f":new@{BUILT.digest}"):
            assert expect_image(await there.look_up(version=version)).stale == ""
        assert len(there.server.requests) == request

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
def test_what_the_registry_itself_says_counts_and_ends_what_was_known(run: Callable[..., None], name: str) -> None:
    answering, reason = DEFINITE[name]

    async def scenario(there: World) -> None:
        expect_image(await there.look_up())
        there.registry.now = answering
        there.clock.seconds = OLD
        expect_unavailable(await there.look_up(), reason)
        there.registry.now = lambda request: Reply(500)
        there.clock.seconds = 2 * OLD
        expect_unavailable(await there.look_up(), Reason.REGISTRY_FAILED)

    run(scenario)


def failing(method: str, part: str, built: OciImage = MOVED) -> Handler:
    """Answer well, but for some questions."""
    kept = RegistryWithImage(built)

    def answer(request: ReceivedRequest) -> Reply:
        return Reply(500) if request.method == method and part in request.path else kept(request)

    return answer


@pytest.mark.parametrize(("method", "part"), [("GET", "/blobs/"), ("GET", "/manifests/")])
def test_a_tag_that_has_moved_no_longer_means_what_it_did_though_the_rest_fails(
    run: Callable[..., None], method: str, part: str
) -> None:
    async def scenario(there: World) -> None:
        expect_image(await there.look_up())
        there.registry.now = failing(method, part)
        there.clock.seconds = OLD
        assert "500" in expect_unavailable(await there.look_up(), Reason.REGISTRY_FAILED)

    run(scenario)


def only_for(*users: str) -> Handler:
    """Answer as a registry that shows its image to some users only."""
    kept = RegistryWithImage(BUILT)
    allowed = {f"Basic {Credential(user, 'secret').basic}" for user in users}

    def answer(request: ReceivedRequest) -> Reply:
        return kept(request) if request.authorization in allowed else Reply(401, (("WWW-Authenticate", "Basic"),))

    return answer


@pytest.mark.parametrize("trouble", [lambda request: Reply(500), hang], ids=["fails", "hangs"])
@pytest.mark.parametrize("secret", ["", "other"])
def test_what_one_credential_was_shown_serves_nobody_else(
    run: Callable[..., None], trouble: Handler, secret: str
) -> None:
    async def scenario(there: World) -> None:
        expect_image(await there.look_up(secret="right"))
        there.registry.now = trouble
        there.clock.seconds = OLD
        answers = [await there.look_up(seconds=1, secret=name) for name in ("right", secret, "right", secret)]
        assert expect_image(answers[0]).stale
        assert expect_image(answers[2]).stale
        for answer in (answers[1], answers[3]):
            assert isinstance(answer, Unavailable)
            assert answer.reason in (Reason.REGISTRY_FAILED, Reason.REGISTRY_TOO_SLOW)

    run(scenario, only_for("worker"))


def test_what_was_shown_to_everybody_serves_everybody(run: Callable[..., None]) -> None:
    async def scenario(there: World) -> None:
        expect_image(await there.look_up())
        there.registry.now = lambda request: Reply(500)
        there.clock.seconds = OLD
        assert expect_image(await there.look_up(secret="other")).stale

    run(scenario)


def test_a_credential_that_was_withdrawn_is_not_served_when_another_one_meets_trouble(
    run: Callable[..., None],
) -> None:
    denied = only_for()
    right = f"Basic {Credential('worker', 'secret').basic}"

    async def scenario(there: World) -> None:
        expect_image(await there.look_up(secret="both"))
        there.registry.now = lambda request: Reply(500) if request.authorization == right else denied(request)
        there.clock.seconds = OLD
        expect_unavailable(await there.look_up(secret="both"), Reason.REGISTRY_FAILED)

    run(scenario, only_for("other"))


def test_where_credentials_cannot_be_read_what_everybody_was_shown_serves(run: Callable[..., None]) -> None:
    async def scenario(there: World) -> None:
        expect_image(await there.look_up())
        there.clock.seconds = OLD
        assert "credentials" in expect_image(await there.look_up(secret="unheard-of")).stale

    run(scenario)


def test_of_so_many_images_the_ones_asked_for_last_are_known(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAX_ENTRIES", 2)
    manifest = json.loads(BUILT.manifest.content)
    registries: Sequence[OciImage] = [
        OciImage(as_json(BUILT.manifest.media_type, {**manifest, "annotations": {"n": str(number)}}), BUILT.blobs)
        for number in range(3)
    ]

    def answer(request: ReceivedRequest) -> Reply:
        number = next((number for number in range(3) if f"v{number}" in request.path), 0)
        return RegistryWithImage(registries[number], tag=f"v{number}")(request)

    async def scenario(there: World) -> None:
        for number in range(3):
            expect_image(await there.look_up(version=f":v{number}"))
        there.registry.now = lambda request: Reply(500)
        there.clock.seconds = OLD
        expect_unavailable(await there.look_up(version=":v0"), Reason.REGISTRY_FAILED)
        assert expect_image(await there.look_up(version=":v1")).stale
        assert expect_image(await there.look_up(version=":v2")).stale

    run(scenario, answer)
