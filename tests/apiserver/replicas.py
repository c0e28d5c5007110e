"""Replicas of the webhook that share a CA in the API server, and a load balancer in place of their Service."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.apiserver.control_plane import ControlPlane, free_ports
from tests.apiserver.installation import NAMESPACE, service_account_token, write_kubeconfig

LEAF_SECONDS = 6
PROPAGATION_SECONDS = 1
PROBE_PERIOD = 0.1
FAILURE_THRESHOLD = 2
"""After how many failed probes a replica gets no more connections, as in deploy/base."""


@dataclass
class Replica:
    """A process of the webhook, and the state of its readiness probe."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    failed_probes: int = FAILURE_THRESHOLD

    @property
    def ready(self) -> bool:
        return self.failed_probes < FAILURE_THRESHOLD

    def probe(self) -> None:
        """Run the readiness probe as the kubelet does: without verifying the certificate."""
        try:
            response = httpx.get(f"https://127.0.0.1:{self.port}/readyz", verify=False, timeout=3)
            is_ok = response.status_code == 200
        except httpx.HTTPError:
            is_ok = False
        self.failed_probes = 0 if is_ok else self.failed_probes + 1


@dataclass
class Replicas:
    """Several replicas, and the address that forwards connections to the ready ones."""

    directory: Path
    kubeconfig: Path
    namespace: str = NAMESPACE
    drain: int = 1
    host: str = "127.0.0.1"
    """The address of the Service."""
    port: int = field(default_factory=lambda: free_ports(1)[0])
    running: list[Replica] = field(default_factory=list)
    turned_away: int = 0
    """Connections for which no replica was ready."""
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> Replica:
        """Start one more replica; it gets connections as soon as it is ready."""
        port = free_ports(1)[0]
        log = self.directory / f"replica-{port}.log"
        command = [sys.executable, "-m", "webhook", "serve", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--namespace", self.namespace, "--extra-host", "127.0.0.1", "--log-level", "info"]
        command += ["--drain", str(self.drain)]
        command += ["--certificate-validity", str(LEAF_SECONDS), "--propagation", str(PROPAGATION_SECONDS)]
        with log.open("wb") as output:
            environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        replica = Replica(port, process, log)
        self.running.append(replica)
        return replica

    def wait_until_ready(self, count: int, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while sum(replica.ready for replica in self.running) < count:
            logs = "\n".join(replica.log.read_text()[-1500:] for replica in self.running)
            assert time.monotonic() < deadline, f"not ready within {seconds:g} s:\n{logs}"
            time.sleep(0.1)

    def count(self, metric: str) -> float:
        """Return the sum of a metric without labels over all replicas."""
        texts = [httpx.get(f"https://127.0.0.1:{r.port}/metrics", verify=False).text for r in self.running]
        lines = (line.split() for text in texts for line in text.splitlines())
        return sum(float(words[1]) for words in lines if words[0] == metric)

    def stop(self, replica: Replica) -> None:
        """End a replica as the kubelet does, and wait until it has drained."""
        replica.process.terminate()
        assert replica.process.wait(30) == 0
        self.running.remove(replica)

    def close(self) -> None:
        self._over.set()
        for replica in self.running:
            replica.process.kill()
            replica.process.wait()

    # The parts of the Service: probes and load balancing

    def watch(self) -> None:
        """Probe the replicas until `close` is called."""
        while not self._over.wait(PROBE_PERIOD):
            for replica in list(self.running):
                replica.probe()

    def balance(self) -> None:
        """Forward connections to ready replicas until `close` is called."""
        asyncio.run(self._balance())

    async def _balance(self) -> None:
        async with await asyncio.start_server(self._connect, self.host, self.port):
            while not self._over.is_set():
                await asyncio.sleep(0.1)
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await asyncio.sleep(0.1)  # the event loop needs it to release the closed transports

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = [replica for replica in self.running if replica.ready]
        self.turned_away += not ready
        try:
            if ready:
                with suppress(OSError):
                    to = await asyncio.open_connection("127.0.0.1", random.choice(ready).port)
                    await asyncio.gather(_copy(reader, to[1]), _copy(to[0], writer))
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()


@contextmanager
def replicas(
    plane: ControlPlane, directory: Path, count: int, namespace: str = NAMESPACE, **settings: Any
) -> Iterator[Replicas]:
    """Run replicas with the rights that deploy/ grants, and the load balancer in place of their Service."""
    token = service_account_token(plane, namespace=namespace)
    group = Replicas(directory, write_kubeconfig(plane, directory / "replica.kubeconfig", token), namespace, **settings)
    threads = [threading.Thread(target=target) for target in (group.watch, group.balance)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(count):
            group.start()
        yield group
    finally:
        group.close()
        for thread in threads:
            thread.join()
