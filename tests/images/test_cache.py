"""Which results are cached for all pods, and which only for pods with access to the image."""

from __future__ import annotations

import asyncio
from pathlib import Path

import trustme

from tests.images.lookups import (
    FakeClock,
    FakeSecrets,
    expect_image,
    expect_unavailable,
    keyring,
    look_up,
    open_lookup,
    pod_of,
    trust,
)
from tests.images.oci_images import build_image, build_index
from tests.images.scripted_registry import ReceivedRequest, RegistryWithImage, Reply, serve
from webhook.core.reasons import Reason
from webhook.images.credentials import Credential, Keyring

BUILT = build_image({"Entrypoint": ["consume"]})
BASIC = f"Basic {Credential('worker', 'secret').basic}"


def private(request: ReceivedRequest) -> Reply:
    """Respond as a registry that accepts one user."""
    if request.authorization != BASIC:
        return Reply(401, (("WWW-Authenticate", 'Basic realm="here"'),))
    return RegistryWithImage(BUILT)(request)


def test_200_pods_with_one_image_share_one_lookup(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        async with serve(RegistryWithImage(BUILT), authority) as server, open_lookup(trust(ca_file)) as lookup:
            results = await asyncio.gather(*(look_up(lookup, f"{server.host}/team/app") for _ in range(200)))
            assert {expect_image(result).entrypoint for result in results} == {("consume",)}
            assert server.request_lines == ["GET /v2/team/app/manifests/latest", f"GET /v2/team/app/blobs/{config()}"]

    asyncio.run(scenario())


def config() -> str:
    return BUILT.blobs[0].digest


def test_a_cached_image_is_not_requested_again(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        async with serve(RegistryWithImage(BUILT), authority) as server, open_lookup(trust(ca_file)) as lookup:
            for _ in range(3):
                expect_image(await look_up(lookup, f"{server.host}/team/app"))
            assert len(server.requests) == 2

    asyncio.run(scenario())


def test_an_expired_tag_is_revalidated_with_a_head_request_only(authority: trustme.CA, ca_file: Path) -> None:
    clock = FakeClock()

    async def scenario() -> None:
        async with (
            serve(RegistryWithImage(BUILT), authority) as server,
            open_lookup(trust(ca_file), clock=clock) as lookup,
        ):
            expect_image(await look_up(lookup, f"{server.host}/team/app"))
            clock.seconds = 301
            expect_image(await look_up(lookup, f"{server.host}/team/app"))
            expect_image(await look_up(lookup, f"{server.host}/team/app"))
            assert server.request_lines[2:] == ["HEAD /v2/team/app/manifests/latest"]

    asyncio.run(scenario())


def test_without_a_usable_head_response_the_tag_is_fetched_again(authority: trustme.CA, ca_file: Path) -> None:
    for reply in (Reply(405), Reply(404), Reply(200)):
        asyncio.run(_without_head(authority, ca_file, reply))


async def _without_head(authority: trustme.CA, ca_file: Path, reply: Reply) -> None:
    clock = FakeClock()
    kept = RegistryWithImage(BUILT)

    def respond(request: ReceivedRequest) -> Reply:
        return reply if request.method == "HEAD" else kept(request)

    async with serve(respond, authority) as server, open_lookup(trust(ca_file), clock=clock) as lookup:
        expect_image(await look_up(lookup, f"{server.host}/team/app"))
        kept.__init__(build_image({"Entrypoint": ["moved"]}))  # type: ignore[misc]
        clock.seconds = 301
        assert expect_image(await look_up(lookup, f"{server.host}/team/app")).entrypoint == ("moved",)
        assert server.count("HEAD") == 1


def test_an_image_with_a_digest_does_not_expire(authority: trustme.CA, ca_file: Path) -> None:
    clock = FakeClock()

    async def scenario() -> None:
        async with (
            serve(RegistryWithImage(BUILT), authority) as server,
            open_lookup(trust(ca_file), clock=clock) as lookup,
        ):
            name = f"{server.host}/team/app@{BUILT.digest}"
            expect_image(await look_up(lookup, name))
            clock.seconds = 1e9
            expect_image(await look_up(lookup, name))
            assert len(server.requests) == 2

    asyncio.run(scenario())


def test_platforms_are_cached_separately(authority: trustme.CA, ca_file: Path) -> None:
    variants = {f"linux/{name}": build_image({"Entrypoint": [name]}) for name in ("amd64", "arm64")}

    async def scenario() -> None:
        async with (
            serve(RegistryWithImage(build_index(variants)), authority) as server,
            open_lookup(trust(ca_file)) as lookup,
        ):
            for name in ("arm64", "amd64"):
                result = await look_up(lookup, f"{server.host}/team/app", nodeSelector={"kubernetes.io/arch": name})
                assert expect_image(result).entrypoint == (name,)

    asyncio.run(scenario())


def test_a_failure_is_cached_for_a_short_time(authority: trustme.CA, ca_file: Path) -> None:
    clock = FakeClock()

    async def scenario() -> None:
        async with (
            serve(lambda request: Reply(404), authority) as server,
            open_lookup(trust(ca_file), clock=clock) as lookup,
        ):
            for clock.seconds in (0.0, 9.0, 11.0):
                expect_unavailable(await look_up(lookup, f"{server.host}/team/app"), Reason.IMAGE_NOT_FOUND)
            assert len(server.requests) == 2

    asyncio.run(scenario())


def test_a_cached_private_image_is_not_returned_for_a_pod_without_access(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        async with serve(private, authority) as server:
            keyrings = {"right": keyring(server.host), "wrong": keyring(server.host, password="guessed")}
            async with open_lookup(trust(ca_file), secrets=FakeSecrets(keyrings)) as lookup:
                for version in (":latest", f"@{BUILT.digest}"):
                    name = f"{server.host}/team/app{version}"
                    expect_image(await look_up(lookup, name, imagePullSecrets=[{"name": "right"}]))
                    before = len(server.requests)
                    expect_unavailable(await look_up(lookup, name), Reason.IMAGE_DENIED)
                    expect_unavailable(
                        await look_up(lookup, name, imagePullSecrets=[{"name": "wrong"}]), Reason.IMAGE_DENIED
                    )
                    assert len(server.requests) > before
                    assert all(request.authorization != BASIC for request in server.requests[before:])
                    before = len(server.requests)
                    expect_image(await look_up(lookup, name, imagePullSecrets=[{"name": "right"}]))
                    assert len(server.requests) == before

    asyncio.run(scenario())


def test_a_private_image_is_not_returned_for_a_pod_that_waits_for_it_without_credentials(
    authority: trustme.CA, ca_file: Path
) -> None:
    async def scenario() -> None:
        async with serve(private, authority) as server:
            secrets = FakeSecrets({"right": keyring(server.host)})
            async with open_lookup(trust(ca_file), secrets=secrets) as lookup:
                allowed, denied = await asyncio.gather(
                    look_up(lookup, f"{server.host}/team/app", imagePullSecrets=[{"name": "right"}]),
                    look_up(lookup, f"{server.host}/team/app"),
                )
            expect_image(allowed)
            expect_unavailable(denied, Reason.IMAGE_DENIED)

    asyncio.run(scenario())


def test_a_copied_manifest_does_not_reveal_the_configuration_of_another_repository(
    authority: trustme.CA, ca_file: Path
) -> None:
    # Any registry can copy a manifest's digests; the configuration must come from the same repository.
    thief = RegistryWithImage(BUILT)
    thief.blobs.clear()

    async def scenario() -> None:
        async with (
            serve(RegistryWithImage(BUILT), authority) as owner,
            serve(thief, authority) as server,
            open_lookup(trust(ca_file)) as lookup,
        ):
            expect_image(await look_up(lookup, f"{owner.host}/team/app"))
            expect_unavailable(await look_up(lookup, f"{server.host}/team/app"), Reason.IMAGE_NOT_FOUND)

    asyncio.run(scenario())


def test_a_cached_public_image_is_returned_without_reading_credentials(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        secrets = FakeSecrets({"any": Keyring()})
        async with (
            serve(RegistryWithImage(BUILT), authority) as server,
            open_lookup(trust(ca_file), secrets=secrets) as lookup,
        ):
            for _ in range(2):
                expect_image(await look_up(lookup, f"{server.host}/team/app", imagePullSecrets=[{"name": "any"}]))
            assert secrets.read == ["any"]

    asyncio.run(scenario())


def test_unreadable_credentials_are_reported_and_not_raised(ca_file: Path) -> None:
    async def scenario() -> None:
        async with open_lookup(trust(ca_file), secrets=FakeSecrets({})) as lookup:
            result = await look_up(lookup, "127.0.0.1:1/team/app", imagePullSecrets=[{"name": "unheard-of"}])
            assert "KeyError" in expect_unavailable(result, Reason.REGISTRY_FAILED)

    asyncio.run(scenario())


def test_an_image_of_two_containers_is_requested_once(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        async with serve(RegistryWithImage(BUILT), authority) as server, open_lookup(trust(ca_file)) as lookup:
            image = f"{server.host}/team/app"
            pod = pod_of("", containers=[{"name": name, "image": image} for name in ("one", "two")])
            found = await lookup.find(pod, ["one", "two"], "shop", 8)
            assert expect_image(found["one"]) == expect_image(found["two"])
            assert server.count("GET", "manifests") == 1

    asyncio.run(scenario())
