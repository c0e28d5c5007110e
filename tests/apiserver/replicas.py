"""Replicas of the webhook that keep a CA of their own in the API server, behind a balancer as a Service would be."""

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

import httpx

from tests.apiserver.control_plane import TOKEN, ControlPlane, free_ports

NAMESPACE = "graceful-worker"
LEAF_SECONDS = 3
PROPAGATION_SECONDS = 1
LOOK_SECONDS = 0.1


def write_kubeconfig(plane: ControlPlane, room: Path) -> Path:
    """Write the administrator's configuration for a client."""
    file = room / "kubeconfig"
    file.write_text(
        f"""apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "{plane.client.base_url}", certificate-authority: {plane.ca} }}}}]
users: [{{name: test, user: {{token: {TOKEN}}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
current-context: test
"""
    )
    return file


@dataclass
class Replica:
    """A process of the webhook."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    ready: bool = False

    def look(self) -> None:
        """See whether it is ready, as the kubelet does: without verifying its certificate."""
        try:
            answer = httpx.get(f"https://127.0.0.1:{self.port}/readyz", verify=False, timeout=2)
            self.ready = answer.status_code == 200
        except httpx.HTTPError:
            self.ready = False


@dataclass
class Replicas:
    """Several replicas, and the address at which a ready one of them answers."""

    room: Path
    kubeconfig: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    running: list[Replica] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> Replica:
        """Start one more replica; it is used as soon as it is ready."""
        port = free_ports(1)[0]
        log = self.room / f"replica-{port}.log"
        command = [sys.executable, "-m", "webhook", "serve", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--namespace", NAMESPACE, "--extra-host", "127.0.0.1", "--drain", "1", "--log-level", "info"]
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

    # The Service

    def watch(self) -> None:
        """Look after who is ready, until the end."""
        while not self._over.wait(LOOK_SECONDS):
            for replica in list(self.running):
                replica.look()

    def balance(self) -> None:
        """Pass connections on to ready replicas, until the end."""
        asyncio.run(self._balance())

    async def _balance(self) -> None:
        async with await asyncio.start_server(self._connect, "127.0.0.1", self.port):
            while not self._over.is_set():
                await asyncio.sleep(0.1)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = [replica for replica in self.running if replica.ready]
        if ready:
            with suppress(OSError):
                to = await asyncio.open_connection("127.0.0.1", random.choice(ready).port)
                await asyncio.gather(_copy(reader, to[1]), _copy(to[0], writer))
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextmanager
def replicas(plane: ControlPlane, room: Path, count: int) -> Iterator[Replicas]:
    """Run replicas and their Service."""
    group = Replicas(room, write_kubeconfig(plane, room))
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
