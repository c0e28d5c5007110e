"""Liveness fails when certificates are no longer managed, and unexpected events do not cause that."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from pathlib import Path

import pytest

from certs import files
from certs.authority import issue_certificate
from certs.files import FileCertificate, read_leaf
from certs.metrics import CertificateMetrics
from certs.served_certificate import ServedCertificate
from webhook.server.listener import Listener, bind

from .process import Server, Servers


def metric(server: Server, name: str) -> float:
    (line,) = (line for line in server.get("/metrics").body.decode().splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


def test_a_server_whose_certificate_is_managed_is_alive(server: Server) -> None:
    assert server.get("/healthz").status == 200
    assert metric(server, "graceful_worker_certificate_care") == 1


@pytest.mark.parametrize("how", ["fails", "returns"])
def test_a_server_whose_certificate_is_no_longer_managed_is_not_alive(servers: Servers, how: str) -> None:
    server = servers.start(care=how)
    deadline = time.monotonic() + 30
    while server.get("/healthz").status == 200:
        assert time.monotonic() < deadline
    assert server.get("/healthz").status == 503
    assert metric(server, "graceful_worker_certificate_care") == 0
    (line,) = server.lines(message="certificate management has stopped")
    assert line["level"] == "critical"
    assert "words-that-nobody-may-log" not in server.output


def test_a_certificate_in_files_is_reloaded_after_a_shortage_of_file_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LOOK_SECONDS", 0.01)
    issue_certificate(["localhost"]).write(tmp_path)
    crt, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    served = ServedCertificate(read_leaf(crt, key))
    metrics = CertificateMetrics()

    async def act() -> None:
        management = asyncio.create_task(FileCertificate(served, crt, key, metrics).run())
        memfd_create, failing = os.memfd_create, [True, True]

        def create(name: str) -> int:
            if failing:
                failing.pop()
                raise OSError(24, "Too many open files")
            return memfd_create(name)

        monkeypatch.setattr(os, "memfd_create", create)
        issue_certificate(["localhost"]).write(tmp_path)
        async with asyncio.timeout(30):
            while served.leaf != read_leaf(crt, key):
                await asyncio.sleep(0.01)
        assert not management.done()
        management.cancel()
        with pytest.raises(asyncio.CancelledError):
            await management

    asyncio.run(act())
    assert metrics.failures >= 2


class StubProtocol(asyncio.Protocol):
    """A stub of the server's protocol, which the listener notifies of handshakes."""

    def handshake_started(self, handshake: asyncio.Task[None]) -> None:
        pass

    def handshake_failed(self) -> None:
        pass


def test_a_connection_that_cannot_be_accepted_does_not_block_the_next_one() -> None:
    errors: list[dict[str, object]] = []
    failures: list[Exception] = [LookupError(), MemoryError()]
    accepted: list[StubProtocol] = []

    def make() -> asyncio.Protocol:
        if failures:
            raise failures.pop()
        accepted.append(StubProtocol())
        return accepted[-1]

    async def act() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        listener = Listener(bind("127.0.0.1", 0, 8), make, context, 5.0)
        address = listener.sockets[0].getsockname()
        async with asyncio.timeout(30):
            for _ in range(2):
                reader, writer = await asyncio.open_connection(*address)
                assert await reader.read() == b""
                writer.close()
            reader, writer = await asyncio.open_connection(*address)
            while not accepted:
                await asyncio.sleep(0.01)
            writer.close()
        listener.close()
        await listener.wait_closed()

    asyncio.run(act())
    assert len(errors) == 2
