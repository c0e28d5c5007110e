"""How long pods wait for image lookups, and what happens to a lookup for which no pod waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
import trustme

from tests.images.lookups import FakeSecrets, expect_image, expect_unavailable, look_up, open_lookup, trust
from tests.images.oci_images import build_image
from tests.images.scripted_registry import ReceivedRequest, RegistryWithImage, Reply, ScriptedRegistry, serve
from webhook.core.reasons import Reason
from webhook.images import single_flight
from webhook.images.credentials import Keyring

BUILT = build_image({"Entrypoint": ["consume"]})


class Slow:
    """A registry that responds only after `may_respond` is set."""

    def __init__(self) -> None:
        self.may_respond = asyncio.Event()

    async def __call__(self, request: ReceivedRequest) -> Reply:
        await self.may_respond.wait()
        return RegistryWithImage(BUILT)(request)


def test_a_lookup_continues_after_a_timeout_and_the_next_pod_gets_its_result(
    authority: trustme.CA, ca_file: Path
) -> None:
    async def scenario() -> None:
        slow = Slow()
        async with serve(slow, authority) as server, open_lookup(trust(ca_file)) as lookup:
            detail = expect_unavailable(
                await look_up(lookup, f"{server.host}/team/app", seconds=0.2), Reason.REGISTRY_TOO_SLOW
            )
            assert server.host in detail
            slow.may_respond.set()
            expect_image(await look_up(lookup, f"{server.host}/team/app"))
            assert server.count("GET", "manifests") == 1

    asyncio.run(scenario())


def test_a_request_is_sent_even_if_no_time_is_left_to_wait_for_it(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        async with serve(RegistryWithImage(BUILT), authority) as server, open_lookup(trust(ca_file)) as lookup:
            expect_unavailable(await look_up(lookup, f"{server.host}/team/app", seconds=0), Reason.REGISTRY_TOO_SLOW)
            expect_image(await look_up(lookup, f"{server.host}/team/app"))
            assert server.count("GET", "manifests") == 1

    asyncio.run(scenario())


def test_a_cancelled_wait_does_not_cancel_the_lookup_for_other_pods(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        slow = Slow()
        async with serve(slow, authority) as server, open_lookup(trust(ca_file)) as lookup:
            gone = asyncio.create_task(look_up(lookup, f"{server.host}/team/app"))
            stays = asyncio.create_task(look_up(lookup, f"{server.host}/team/app"))
            await _until_requested(server)
            gone.cancel()
            slow.may_respond.set()
            expect_image(await stays)
            assert gone.cancelled()

    asyncio.run(scenario())


def test_closing_ends_all_lookups_and_waiting_pods_get_a_reason(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        async with serve(Slow(), authority) as server:
            before = asyncio.all_tasks()
            async with open_lookup(trust(ca_file)) as lookup:
                waiting = asyncio.create_task(look_up(lookup, f"{server.host}/team/app"))
                await _until_requested(server)
            expect_unavailable(await waiting, Reason.REGISTRY_TOO_SLOW)
            expect_unavailable(await look_up(lookup, f"{server.host}/team/app"), Reason.REGISTRY_TOO_SLOW)
            # The only other task is that of the server's connection.
            assert len(asyncio.all_tasks() - before) <= 1

    asyncio.run(scenario())


def test_a_registry_that_hangs_does_not_block_lookups_at_others(authority: trustme.CA, ca_file: Path) -> None:
    async def scenario() -> None:
        async with (
            serve(Slow(), authority) as hanging,
            serve(RegistryWithImage(BUILT), authority) as server,
            open_lookup(trust(ca_file)) as lookup,
        ):
            names = [f"{hanging.host}/team/app:{number}" for number in range(2 * single_flight.MAX_RUNNING)]
            waiting = asyncio.gather(*(look_up(lookup, name, seconds=3) for name in names))
            await _until_requested(hanging, single_flight.MAX_RUNNING // 4)
            expect_image(await look_up(lookup, f"{server.host}/team/app"))
            assert len(hanging.requests) == single_flight.MAX_RUNNING // 4
            waiting.cancel()

    asyncio.run(scenario())


async def _until_requested(server: ScriptedRegistry, times: int = 1) -> None:
    async with asyncio.timeout(5):
        while len(server.requests) < times:
            await asyncio.sleep(0.01)


def test_a_lookup_ends_even_if_no_pod_waits_for_it(
    authority: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.images.lookup.MAX_SECONDS", 0.3)

    async def scenario() -> None:
        async with serve(Slow(), authority) as server, open_lookup(trust(ca_file)) as lookup:
            expect_unavailable(await look_up(lookup, f"{server.host}/team/app", seconds=0.1), Reason.REGISTRY_TOO_SLOW)
            async with asyncio.timeout(20):
                for _ in range(2):
                    expect_unavailable(
                        await look_up(lookup, f"{server.host}/team/app", seconds=60), Reason.REGISTRY_TOO_SLOW
                    )
            # The timeout is cached, as any failure is.
            assert len(server.requests) == 1

    asyncio.run(scenario())


def test_credentials_that_come_too_late_are_reported(ca_file: Path) -> None:
    class Late(FakeSecrets):
        async def keyring(self, namespace: str, service_account: str, names: Sequence[str]) -> Keyring:
            await asyncio.sleep(60)
            return Keyring()

    async def scenario() -> None:
        async with open_lookup(trust(ca_file), secrets=Late({})) as lookup:
            detail = expect_unavailable(
                await look_up(lookup, "127.0.0.1:1/team/app", seconds=0.1), Reason.REGISTRY_TOO_SLOW
            )
            assert "credentials" in detail

    asyncio.run(scenario())


def test_an_internal_error_is_reported_and_not_raised(
    authority: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr("webhook.images.resolve.parse_manifest", fail)

    async def scenario() -> None:
        async with serve(RegistryWithImage(BUILT), authority) as server, open_lookup(trust(ca_file)) as lookup:
            detail = expect_unavailable(await look_up(lookup, f"{server.host}/team/app"), Reason.REGISTRY_FAILED)
            assert detail == "internal error of graceful-worker: KeyError"

    asyncio.run(scenario())
