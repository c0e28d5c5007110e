"""A controller and its API server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx2
import pytest

from certs.api_server import ApiServer, Limits
from certs.authority import issue_certificate
from certs.certificate import Leaf
from certs.cluster import Cluster, Names
from certs.metrics import CertificateMetrics
from certs.renewal import Controller
from certs.rotation_settings import RotationSettings
from certs.served_certificate import ServedCertificate
from tests.certs.odd_api_server import OddApiServer

HOST = "graceful-worker.graceful-worker.svc"


class Scene:
    """Runs a controller that manages a certificate, while a test acts."""

    def __init__(self) -> None:
        self.server = OddApiServer()
        self.metrics = CertificateMetrics()
        self.limits = Limits()
        placeholder = issue_certificate(["localhost"])
        self.served = ServedCertificate(Leaf(placeholder.certificate, placeholder.key))
        self.controller: Controller

    def run(self, act: Callable[[], Awaitable[None]]) -> None:
        """Run the controller during `act`; the controller must not end by itself."""
        asyncio.run(self._run(act))

    async def _run(self, act: Callable[[], Awaitable[None]]) -> None:
        async with self.server.running():
            client = httpx2.AsyncClient(base_url=self.server.base_url)
            names = Names("graceful-worker", "graceful-worker-ca", "graceful-worker")
            cluster = Cluster(ApiServer(client, self.limits), names)
            settings = RotationSettings(propagation=0.05)
            self.controller = Controller(cluster, self.served, [HOST], self.metrics, settings)
            management = asyncio.create_task(self.controller.run())
            try:
                await act()
                assert not management.done()
            finally:
                management.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await management

    async def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def until_ready(self) -> None:
        """Wait until the certificate is accepted, and all unexpected responses are used."""
        server = self.server
        await self.until(lambda: self.controller.is_ready and not any(server.faults.values()) and not server.busy)
