"""Registries that hang, and namespaces with many lookups, do not block other lookups."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.images.lookups import NAMESPACE, expect_image, expect_unavailable, look_up, open_lookup, pod_of
from tests.images.oci_images import build_image
from tests.images.scripted_registry import ReceivedRequest, RegistryWithImage, Reply, ScriptedRegistry, serve
from webhook.core.image_config import Image, Unavailable
from webhook.core.reasons import Reason
from webhook.images import single_flight
from webhook.images.concurrency import FairLimit
from webhook.images.dns import MAX_THREADS
from webhook.images.lookup import MAX_IMAGES, ImageLookup
from webhook.images.options import LookupOptions

BUILT = build_image({"Entrypoint": ["consume"]})
# Without TLS, so that one server can have any number of host names.
ANY = LookupOptions(local_hosts=("*",), plain_http=("*",))
Waiting = asyncio.Future[list[Image | Unavailable]]


class Dns:
    """DNS that never responds for *.silent.test, and resolves *.here.test to loopback."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.is_over = threading.Event()
        self._resolve = socket.getaddrinfo

    def __call__(self, host: str, *arguments: Any, **more: Any) -> Any:
        if host.endswith(".silent.test") and not more.get("flags"):
            self.requests.append(host)
            self.is_over.wait(60)
            raise socket.gaierror(socket.EAI_NONAME, "no name")
        is_here = host.endswith(".here.test") and not more.get("flags")
        return self._resolve("127.0.0.1" if is_here else host, *arguments, **more)


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dns]:
    dns = Dns()
    monkeypatch.setattr(socket, "getaddrinfo", dns)
    yield dns
    dns.is_over.set()


async def hang(request: ReceivedRequest) -> Reply:
    await asyncio.sleep(60)
    return Reply()


def host_names(server: ScriptedRegistry, count: int) -> list[str]:
    """Return different host names for one server."""
    port = server.host.rpartition(":")[2]
    return [f"r{number}.here.test:{port}" for number in range(count)]


@asynccontextmanager
async def waiting_for(lookup: ImageLookup, images: Sequence[str], **more: Any) -> AsyncIterator[Waiting]:
    """Start lookups of these images, and cancel them at the end."""
    waiting = asyncio.gather(*(look_up(lookup, image, seconds=20, **more) for image in images))
    try:
        yield waiting
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def until_requested(server: ScriptedRegistry, times: int) -> None:
    async with asyncio.timeout(10):
        while len(server.requests) < times:
            await asyncio.sleep(0.01)


def tags(host: str, count: int) -> list[str]:
    return [f"{host}/team/app:{number}" for number in range(count)]


@pytest.mark.parametrize("namespaces", [("one", "one"), ("one", "two")])
@pytest.mark.parametrize("requester", ["one", "three"])
def test_two_registries_that_hang_do_not_block_lookups_at_others(namespaces: Sequence[str], requester: str) -> None:
    async def scenario() -> None:
        async with (
            serve(hang, None) as first,
            serve(hang, None) as second,
            serve(RegistryWithImage(BUILT), None) as good,
            open_lookup(ANY) as lookup,
            waiting_for(lookup, tags(first.host, 100), namespace=namespaces[0]),
            waiting_for(lookup, tags(second.host, 100), namespace=namespaces[1]),
        ):
            await until_requested(first, 1)
            await until_requested(second, 1)
            expect_image(await look_up(lookup, f"{good.host}/team/app", namespace=requester))
            assert len(first.requests) + len(second.requests) < single_flight.MAX_RUNNING

    asyncio.run(scenario())


def test_a_namespace_with_hundreds_of_hosts_that_hang_does_not_block_other_namespaces(dns: Dns) -> None:
    async def scenario() -> None:
        async with (
            serve(hang, None) as hanging,
            serve(RegistryWithImage(BUILT), None) as good,
            open_lookup(ANY) as lookup,
            waiting_for(lookup, [f"{host}/team/app" for host in host_names(hanging, 200)], namespace="odd"),
        ):
            await until_requested(hanging, single_flight.MAX_RUNNING // 2)
            lookups = [look_up(lookup, image, namespace="other") for image in tags(good.host, 40)]
            found = await asyncio.gather(*lookups, look_up(lookup, f"{good.host}/team/app", namespace="third"))
            assert all(isinstance(result, Image) or result.reason is Reason.IMAGE_NOT_FOUND for result in found)
            expect_image(found[-1])
            assert len(hanging.requests) == single_flight.MAX_RUNNING // 2

    asyncio.run(scenario())


def test_an_image_queued_by_one_namespace_is_looked_up_at_once_for_another(dns: Dns) -> None:
    async def scenario() -> None:
        async with (
            serve(hang, None) as hanging,
            serve(RegistryWithImage(BUILT), None) as good,
            open_lookup(ANY) as lookup,
            waiting_for(lookup, [f"{host}/team/app" for host in host_names(hanging, 50)], namespace="odd"),
        ):
            await until_requested(hanging, single_flight.MAX_RUNNING // 2)
            async with waiting_for(lookup, [f"{good.host}/team/app"], namespace="odd") as queued:
                await asyncio.sleep(0)
                expect_image(await look_up(lookup, f"{good.host}/team/app", namespace="other"))
                expect_image(await look_up(lookup, f"{good.host}/team/app", namespace="odd"))
                assert not queued.done()

    asyncio.run(scenario())


def test_many_namespaces_with_the_same_image_share_one_lookup() -> None:
    async def scenario() -> None:
        async with serve(RegistryWithImage(BUILT), None) as server, open_lookup(ANY) as lookup:
            image = f"{server.host}/team/app"
            results = await asyncio.gather(*(look_up(lookup, image, namespace=f"n{number}") for number in range(60)))
            assert {expect_image(result).entrypoint for result in results} == {("consume",)}
            assert server.count("GET", "manifests") == 1

    asyncio.run(scenario())


def test_a_lookup_that_finds_the_queue_full_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_flight, "MAX_QUEUED", 8)

    async def scenario() -> None:
        async with (
            serve(hang, None) as hanging,
            serve(RegistryWithImage(BUILT), None) as good,
            open_lookup(ANY) as lookup,
            waiting_for(lookup, tags(hanging.host, 50)),
        ):
            await until_requested(hanging, single_flight.MAX_RUNNING // 4)
            async with asyncio.timeout(10):
                result = await look_up(lookup, f"{hanging.host}/team/app:last", seconds=20)
            assert result == Unavailable(Reason.REGISTRY_QUEUE)
            expect_image(await look_up(lookup, f"{good.host}/team/app"))

    asyncio.run(scenario())


def test_a_lookup_that_times_out_in_the_queue_does_not_report_a_slow_registry() -> None:
    async def scenario() -> None:
        async with (
            serve(hang, None) as hanging,
            open_lookup(ANY) as lookup,
            waiting_for(lookup, tags(hanging.host, 50)),
        ):
            await until_requested(hanging, single_flight.MAX_RUNNING // 4)
            result = await look_up(lookup, f"{hanging.host}/team/app:last", seconds=0.1)
            assert result == Unavailable(Reason.REGISTRY_QUEUE)

    asyncio.run(scenario())


def test_queued_lookups_run_when_others_have_ended(dns: Dns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_flight, "MAX_RUNNING", 2)

    async def scenario() -> None:
        async with serve(RegistryWithImage(BUILT), None) as server, open_lookup(ANY) as lookup:
            hosts = [f"{host}/team/app" for host in host_names(server, 20)]
            async with asyncio.timeout(20):
                for result in await asyncio.gather(*(look_up(lookup, image, seconds=20) for image in hosts)):
                    expect_image(result)

    asyncio.run(scenario())


def test_the_number_of_images_looked_up_per_pod_is_limited() -> None:
    async def scenario() -> None:
        async with serve(RegistryWithImage(BUILT), None) as server, open_lookup(ANY) as lookup:
            images = {f"c{number}": image for number, image in enumerate(tags(server.host, MAX_IMAGES + 5))}
            images |= {"again": images["c0"], "invalid": "No Name"}
            pod = pod_of("", containers=[{"name": name, "image": image} for name, image in images.items()])
            for _ in range(2):
                found = await lookup.find(pod, list(images), NAMESPACE, 8)
                over = [name for name, result in found.items() if _reason(result) is Reason.IMAGE_LIMIT]
                assert over == [f"c{number}" for number in range(MAX_IMAGES, MAX_IMAGES + 5)]
            assert _reason(found["again"]) is _reason(found["c0"]) is Reason.IMAGE_NOT_FOUND
            assert "graceful-worker/containers" in expect_unavailable(found["c12"], Reason.IMAGE_LIMIT)
            assert server.count("GET", "manifests") == MAX_IMAGES

    asyncio.run(scenario())


def _reason(result: Image | Unavailable) -> Reason | None:
    return result.reason if isinstance(result, Unavailable) else None


def images_without_dns(count: int) -> list[str]:
    return [f"r{number}.silent.test/team/app" for number in range(count)]


async def until_resolving(dns: Dns, times: int) -> None:
    async with asyncio.timeout(10):
        while len(dns.requests) < times:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("count", "requester"), [(4, NAMESPACE), (4, "other"), (300, "other")])
def test_names_without_a_dns_response_do_not_block_other_lookups(dns: Dns, count: int, requester: str) -> None:
    async def scenario() -> None:
        async with (
            serve(RegistryWithImage(BUILT), None) as server,
            open_lookup(ANY) as lookup,
            waiting_for(lookup, images_without_dns(count)),
        ):
            await until_resolving(dns, min(count, MAX_THREADS // 2))
            name = server.host.replace("127.0.0.1", "localhost")
            expect_image(await look_up(lookup, f"{name}/team/app", namespace=requester))
            assert len(dns.requests) <= MAX_THREADS // 2

    asyncio.run(scenario())


def test_a_name_without_a_dns_response_times_out_and_uses_a_single_thread(
    dns: Dns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.images.dns.TIMEOUT_SECONDS", 0.2)

    async def scenario() -> None:
        async with open_lookup(LookupOptions(failure_seconds=0)) as lookup:
            for _ in range(3):
                detail = expect_unavailable(await look_up(lookup, images_without_dns(1)[0]), Reason.REGISTRY_FAILED)
                assert "DNS did not respond in time" in detail
            assert len(dns.requests) == 1
            dns.is_over.set()
            async with asyncio.timeout(10):
                while "not found" not in expect_unavailable(
                    await look_up(lookup, images_without_dns(1)[0]), Reason.REGISTRY_FAILED
                ):
                    await asyncio.sleep(0.05)

    asyncio.run(scenario())


def test_hanging_dns_threads_are_limited_and_one_namespace_cannot_use_all_of_them(
    dns: Dns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.images.dns.TIMEOUT_SECONDS", 0.05)

    async def scenario() -> None:
        async with serve(RegistryWithImage(BUILT), None) as server, open_lookup(ANY) as lookup:
            results = await asyncio.gather(*(look_up(lookup, image, seconds=20) for image in images_without_dns(60)))
            details = [expect_unavailable(result, Reason.REGISTRY_FAILED) for result in results]
            assert any("too many DNS queries without a response" in detail for detail in details)
            assert len(dns.requests) == MAX_THREADS // 2
            # An address needs no thread.
            expect_image(await look_up(lookup, f"{server.host}/team/app"))
            name = server.host.replace("127.0.0.1", "localhost")
            expect_image(await look_up(lookup, f"{name}/team/app", namespace="other"))

    asyncio.run(scenario())
    dns.is_over.set()


def test_the_process_exits_even_if_a_dns_query_still_hangs() -> None:
    program = """
import asyncio, socket, time
from webhook.images import dns
dns.TIMEOUT_SECONDS = 0.1
def getaddrinfo(*arguments, flags, **more):
    if flags == socket.AI_NUMERICHOST:
        raise OSError
    time.sleep(600)
socket.getaddrinfo = getaddrinfo
try:
    asyncio.run(dns.DnsResolver().resolve("r.silent.test"))
except dns.DnsTimeout:
    print("unanswered")
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "unanswered\n"), ended.stderr


def test_the_fair_limit_leaves_a_place_for_a_namespace_that_has_none() -> None:
    limit = FairLimit(32)
    taken = [
        (namespace, host)
        for namespace in ("a", "b", "c")
        for host in ("x", "y", "z")
        for _ in range(50)
        if limit.try_acquire(namespace, host)
    ]
    assert taken.count(("a", "x")) == 8
    assert taken.count(("a", "y")) == 4
    assert limit.try_acquire("d", "w")
    limit.release("d", "w")
    for holder in taken:
        limit.release(*holder)
    assert vars(limit) == vars(FairLimit(32))
