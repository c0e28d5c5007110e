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

from tests.images.asking import Clock, Secrets, ask, keyring, known, lookup_in, refused, trusting
from tests.images.building import Built, as_json, build, build_index
from tests.images.scripted import Answering, Asked, Keeps, Reply, Scripted, serve
from webhook.core.images import Image, Unavailable
from webhook.core.reasons import Reason
from webhook.images import cache
from webhook.images.credentials import Credential, Keyring
from webhook.images.lookup import ImageLookup
from webhook.images.options import LookupOptions

BUILT = build({"Entrypoint": ["consume"]})
MOVED = build({"Entrypoint": ["moved"]})
OPTIONS = LookupOptions()
OLD = OPTIONS.tag_seconds + 1
TOO_OLD = OPTIONS.stale_seconds + 1


async def hang(asked: Asked) -> Reply:
    await asyncio.sleep(60)
    return Reply()


class Changing:
    """Answers as it is told at the time."""

    def __init__(self, answering: Answering | None = None) -> None:
        self.now: Answering = answering or Keeps(BUILT)

    def __call__(self, asked: Asked) -> Any:
        return self.now(asked)


class World:
    """A registry whose answers change, and a look-up whose clock is set."""

    def __init__(self, registry: Changing, server: Scripted, lookup: ImageLookup, clock: Clock) -> None:
        self.registry = registry
        self.server = server
        self.clock = clock
        self._lookup = lookup

    async def ask(self, seconds: float = 8.0, version: str = "", secret: str = "") -> Image | Unavailable:
        spec: dict[str, Any] = {"imagePullSecrets": [{"name": secret}]} if secret else {}
        return await ask(self._lookup, f"{self.server.host}/team/app{version}", seconds, **spec)


@asynccontextmanager
async def world(
    authority: trustme.CA, ca_file: Path, answering: Answering | None = None, **more: Any
) -> AsyncIterator[World]:
    registry, clock = Changing(answering), Clock()
    async with serve(registry, authority) as server:
        both = [(f"{server.host}/team", Credential("other", "secret")), (server.host, Credential("worker", "secret"))]
        keyrings = {"right": keyring(server.host), "other": keyring(server.host, "other"), "both": Keyring(both)}
        async with lookup_in(trusting(ca_file, **more), clock=clock, secrets=Secrets(keyrings)) as lookup:
            yield World(registry, server, lookup, clock)


@pytest.fixture
def run(authority: trustme.CA, ca_file: Path) -> Callable[..., None]:
    def run(scenario: Callable[[World], Any], answering: Answering | None = None, **more: Any) -> None:
        async def all_of_it() -> None:
            async with world(authority, ca_file, answering, **more) as there:
                await scenario(there)

        asyncio.run(all_of_it())

    return run


TROUBLES: dict[str, tuple[Answering, str]] = {
    "429": (lambda asked: Reply(429), "returned 429"),
    "429-with-time": (lambda asked: Reply(429, (("Retry-After", "60"),)), "retry in 60 s"),
    "500": (lambda asked: Reply(500), "returned 500"),
    "503": (lambda asked: Reply(503), "returned 503"),
    "breaks-off": (lambda asked: Reply(raw=b""), "incomplete"),
    "no-http": (lambda asked: Reply(raw=b"SSH-2.0\r\n\r\n"), "not HTTP"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_the_last_known_answer_serves_and_says_why(run: Callable[..., None], name: str) -> None:
    answering, words = TROUBLES[name]

    async def scenario(there: World) -> None:
        fresh = known(await there.ask())
        assert fresh.stale == ""
        there.registry.now = answering
        there.clock.seconds = OLD
        stale = known(await there.ask())
        assert (stale.entrypoint, stale.source) == (fresh.entrypoint, fresh.source)
        assert stale.stale.startswith("registry-failed: ")
        assert words in stale.stale
        there.clock.seconds = TOO_OLD
        assert words in refused(await there.ask(), Reason.REGISTRY_FAILED)

    run(scenario)


def test_a_failure_is_remembered_and_the_registry_is_believed_as_soon_as_it_answers(run: Callable[..., None]) -> None:
    async def scenario(there: World) -> None:
        known(await there.ask())
        there.registry.now = lambda asked: Reply(400)
        there.clock.seconds = OLD
        assert known(await there.ask()).stale
        asked = len(there.server.asked)
        assert known(await there.ask()).stale
        assert len(there.server.asked) == asked
        there.registry.now = Keeps(MOVED)
        there.clock.seconds = OLD + OPTIONS.failure_seconds
        fresh = known(await there.ask())
        assert (fresh.entrypoint, fresh.stale) == (("moved",), "")

    run(scenario)


def test_the_age_counts_from_when_the_registry_has_confirmed_it_last(run: Callable[..., None]) -> None:
    async def scenario(there: World) -> None:
        known(await there.ask())
        there.clock.seconds = TOO_OLD - 2
        assert known(await there.ask()).stale == ""
        there.registry.now = lambda asked: Reply(500)
        there.clock.seconds = TOO_OLD + OLD
        assert known(await there.ask()).stale

    run(scenario)


def test_where_a_registry_hangs_one_pod_waits_and_the_next_ones_do_not(run: Callable[..., None]) -> None:
    async def scenario(there: World) -> None:
        known(await there.ask())
        there.registry.now = hang
        there.clock.seconds = OLD
        assert "registry-too-slow" in known(await there.ask(seconds=0.3)).stale
        async with asyncio.timeout(5):
            assert "registry-too-slow" in known(await there.ask(seconds=60)).stale

    run(scenario)


def test_a_digest_is_known_whatever_becomes_of_the_registry(run: Callable[..., None]) -> None:
    async def scenario(there: World) -> None:
        for version in (f"@{BUILT.digest}", f":old@{BUILT.digest}"):
            known(await there.ask(version=version))
        there.registry.now = lambda asked: Reply(500)
        there.clock.seconds = 100 * TOO_OLD
        asked = len(there.server.asked)
        for version in (f"@{BUILT.digest}", f":old@{BUILT.digest}", f":new@{BUILT.digest}"):
            assert known(await there.ask(version=version)).stale == ""
        assert len(there.server.asked) == asked

    run(scenario)


DEFINITE: dict[str, tuple[Answering, Reason]] = {
    "unauthorized": (lambda asked: Reply(401), Reason.IMAGE_DENIED),
    "forbidden": (lambda asked: Reply(403), Reason.IMAGE_DENIED),
    "not-found": (lambda asked: Reply(404), Reason.IMAGE_NOT_FOUND),
    "invalid": (Keeps(Built(as_json("text/html", "Please log in"))), Reason.IMAGE_INVALID),
    "for-others": (
        Keeps(build_index({"linux/arm64": MOVED, "linux/s390x": MOVED})),
        Reason.IMAGE_PLATFORM_MISSING,
    ),
}


@pytest.mark.parametrize("name", DEFINITE)
def test_what_the_registry_itself_says_counts_and_ends_what_was_known(run: Callable[..., None], name: str) -> None:
    answering, reason = DEFINITE[name]

    async def scenario(there: World) -> None:
        known(await there.ask())
        there.registry.now = answering
        there.clock.seconds = OLD
        refused(await there.ask(), reason)
        there.registry.now = lambda asked: Reply(500)
        there.clock.seconds = 2 * OLD
        refused(await there.ask(), Reason.REGISTRY_FAILED)

    run(scenario)


def failing(method: str, part: str, built: Built = MOVED) -> Answering:
    """Answer well, but for some questions."""
    kept = Keeps(built)

    def answer(asked: Asked) -> Reply:
        return Reply(500) if asked.method == method and part in asked.path else kept(asked)

    return answer


@pytest.mark.parametrize(("method", "part"), [("GET", "/blobs/"), ("GET", "/manifests/")])
def test_a_tag_that_has_moved_no_longer_means_what_it_did_though_the_rest_fails(
    run: Callable[..., None], method: str, part: str
) -> None:
    async def scenario(there: World) -> None:
        known(await there.ask())
        there.registry.now = failing(method, part)
        there.clock.seconds = OLD
        assert "500" in refused(await there.ask(), Reason.REGISTRY_FAILED)

    run(scenario)


def only_for(*users: str) -> Answering:
    """Answer as a registry that shows its image to some users only."""
    kept = Keeps(BUILT)
    allowed = {f"Basic {Credential(user, 'secret').basic}" for user in users}

    def answer(asked: Asked) -> Reply:
        return kept(asked) if asked.authorization in allowed else Reply(401, (("WWW-Authenticate", "Basic"),))

    return answer


@pytest.mark.parametrize("trouble", [lambda asked: Reply(500), hang], ids=["fails", "hangs"])
@pytest.mark.parametrize("secret", ["", "other"])
def test_what_one_credential_was_shown_serves_nobody_else(
    run: Callable[..., None], trouble: Answering, secret: str
) -> None:
    async def scenario(there: World) -> None:
        known(await there.ask(secret="right"))
        there.registry.now = trouble
        there.clock.seconds = OLD
        answers = [await there.ask(seconds=1, secret=name) for name in ("right", secret, "right", secret)]
        assert known(answers[0]).stale
        assert known(answers[2]).stale
        for answer in (answers[1], answers[3]):
            assert isinstance(answer, Unavailable)
            assert answer.reason in (Reason.REGISTRY_FAILED, Reason.REGISTRY_TOO_SLOW)

    run(scenario, only_for("worker"))


def test_what_was_shown_to_everybody_serves_everybody(run: Callable[..., None]) -> None:
    async def scenario(there: World) -> None:
        known(await there.ask())
        there.registry.now = lambda asked: Reply(500)
        there.clock.seconds = OLD
        assert known(await there.ask(secret="other")).stale

    run(scenario)


def test_a_credential_that_was_withdrawn_is_not_served_when_another_one_meets_trouble(
    run: Callable[..., None],
) -> None:
    denied = only_for()
    right = f"Basic {Credential('worker', 'secret').basic}"

    async def scenario(there: World) -> None:
        known(await there.ask(secret="both"))
        there.registry.now = lambda asked: Reply(500) if asked.authorization == right else denied(asked)
        there.clock.seconds = OLD
        refused(await there.ask(secret="both"), Reason.REGISTRY_FAILED)

    run(scenario, only_for("other"))


def test_where_credentials_cannot_be_read_what_everybody_was_shown_serves(run: Callable[..., None]) -> None:
    async def scenario(there: World) -> None:
        known(await there.ask())
        there.clock.seconds = OLD
        assert "credentials" in known(await there.ask(secret="unheard-of")).stale

    run(scenario)


def test_of_so_many_images_the_ones_asked_for_last_are_known(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAX_ENTRIES", 2)
    manifest = json.loads(BUILT.manifest.content)
    registries: Sequence[Built] = [
        Built(as_json(BUILT.manifest.media_type, {**manifest, "annotations": {"n": str(number)}}), BUILT.blobs)
        for number in range(3)
    ]

    def answer(asked: Asked) -> Reply:
        number = next((number for number in range(3) if f"v{number}" in asked.path), 0)
        return Keeps(registries[number], tag=f"v{number}")(asked)

    async def scenario(there: World) -> None:
        for number in range(3):
            known(await there.ask(version=f":v{number}"))
        there.registry.now = lambda asked: Reply(500)
        there.clock.seconds = OLD
        refused(await there.ask(version=":v0"), Reason.REGISTRY_FAILED)
        assert known(await there.ask(version=":v1")).stale
        assert known(await there.ask(version=":v2")).stale

    run(scenario, answer)
