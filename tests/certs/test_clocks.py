"""Wrong clocks: the API server's clock is used, and a replica whose clock differs creates no CA."""

from __future__ import annotations

import asyncio
import base64
import datetime

import pytest

from certs.authority import NOT_BEFORE
from certs.ca_secret import ROTATE_ANNOTATION
from certs.certificate import read_bundle
from certs.clock import wall_clock
from certs.rotation_settings import RotationSettings
from tests.certs.scene import Scene

HOUR, YEAR = datetime.timedelta(hours=1), datetime.timedelta(days=365)


def request_rotation(scene: Scene) -> None:
    secret = scene.server.secret
    assert secret is not None
    scene.server.store({**secret, "metadata": {**secret["metadata"], "annotations": {ROTATE_ANNOTATION: "now"}}})


def current_ca(scene: Scene) -> str:
    assert scene.server.secret is not None
    return str(scene.server.secret["data"]["tls.crt"])


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_rotation_waits_until_the_clocks_agree(scene: Scene, hours: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def act() -> None:
        await scene.until_ready()
        before = current_ca(scene)
        assert abs(scene.metrics.clock_skew or 99) < 30
        scene.server.offset = hours * HOUR
        request_rotation(scene)
        await scene.until(lambda: abs(scene.metrics.clock_skew or 0) > 3000)
        await asyncio.sleep(0.5)
        assert current_ca(scene) == before
        assert scene.controller.is_ready
        scene.server.offset = 0 * HOUR
        scene.server.store(scene.server.secret)
        await scene.until(lambda: current_ca(scene) != before)

    scene.run(act)
    (message,) = (record.getMessage() for record in caplog.records if "creating no CA" in record.getMessage())
    assert ("differ by -3" in message) is (hours > 0)
    assert "agree again" in caplog.text


@pytest.mark.parametrize("years", [-3, 10])
def test_without_a_ca_one_is_created_by_the_api_servers_clock(scene: Scene, years: int) -> None:
    scene.server.offset = years * YEAR

    async def act() -> None:
        await scene.until_ready()

    scene.run(act)
    (ca,) = read_bundle(base64.b64decode(current_ca(scene)))
    now = wall_clock() + years * YEAR
    assert abs(ca.not_valid_after_utc - now - RotationSettings().ca_validity) < HOUR
    assert abs(scene.served.leaf.ends - now - RotationSettings().leaf_validity) < HOUR
    assert ca.not_valid_before_utc == NOT_BEFORE


@pytest.mark.parametrize("line", [b"", b"Date: yesterday\r\n", b"Date: Thu, 99 Nov 2026 00:00:00 GMT\r\n"])
def test_a_rotation_needs_no_valid_date_header_of_the_api_server(scene: Scene, line: bytes) -> None:
    scene.server.date_line = line

    async def act() -> None:
        await scene.until_ready()
        before = current_ca(scene)
        request_rotation(scene)
        await scene.until(lambda: current_ca(scene) != before)

    scene.run(act)
    assert scene.metrics.clock_skew is None
