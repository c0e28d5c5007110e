"""Memory and processor time of `graceful-worker watch` in a large cluster.

It follows 10,000 protected pods, of which 1,000 drain at once and end. The API server is a stand-in on loopback, by
plain HTTP: a real one takes minutes to create so many pods, and sends the same lines.

    python -m benchmarks.drain_watch
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks.cluster_pods import GRACE, ClusterPods, Json
from benchmarks.processes import resident_mib, usage

PODS, DRAINS = 10_000, 1_000
PATIENCE = 120.0


class ApiServer:
    """Lists pods page by page, and sends the events that it is given."""

    def __init__(self) -> None:
        self._pods = ClusterPods()
        self._version = 1
        self._watches: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self.port = 0
        self.begun = 0
        """Watches of protected pods so far."""
        started = threading.Event()
        threading.Thread(target=self._run, args=(started,), daemon=True).start()
        started.wait()

    def _run(self, started: threading.Event) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._answer, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()

    def pod(self, number: int, *, period: int | None = None, code: int | None = None) -> Json:
        """Return a pod in its current version, see `ClusterPods`."""
        return self._pods.pod(number, self._version, period=period, code=code)

    def tell(self, kind: str, pod: Json) -> None:
        """Send a line to all watches of protected pods."""
        self._version += 1
        line = json.dumps({"type": kind, "object": pod}).encode() + b"\n"
        asyncio.run_coroutine_threadsafe(self._send(line), self._loop).result()

    def expire(self) -> None:
        """Make the client list all pods again."""
        status = {"kind": "Status", "code": 410, "message": "too old resource version"}
        self.tell("ERROR", status)

    async def _send(self, line: bytes) -> None:
        for writer in list(self._watches):
            writer.write(b"%x\r\n%b\r\n" % (len(line), line))
            await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked = parse_qs(urlsplit(head.split()[1].decode()).query)
                if "watch" in asked:
                    await self._begin_watch(writer, is_protected="=true" in asked["labelSelector"][0])
                    await reader.read()
                    return
                content = self._page(asked)
                writer.write(_head(f"content-length: {len(content)}") + content)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            if writer in self._watches:
                self._watches.remove(writer)
            writer.close()

    async def _begin_watch(self, writer: asyncio.StreamWriter, *, is_protected: bool) -> None:
        writer.write(_head("transfer-encoding: chunked"))
        await writer.drain()
        if is_protected:
            self._watches = [writer]
            self.begun += 1

    def _page(self, asked: dict[str, list[str]]) -> bytes:
        count = PODS if "=true" in asked["labelSelector"][0] and "!=true" not in asked["labelSelector"][0] else 0
        begin, limit = int(asked.get("continue", ["0"])[0]), int(asked["limit"][0])
        end = min(begin + limit, count)
        rest = str(end) if end < count else ""
        items = [self.pod(number) for number in range(begin, end)]
        metadata = {"resourceVersion": str(self._version), "continue": rest}
        return json.dumps({"kind": "PodList", "metadata": metadata, "items": items}).encode()


def _head(more: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{more}\r\n\r\n".encode()


class Process:
    """A running watch."""

    def __init__(self, server: int, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        kubeconfig = folder / "kubeconfig"
        content = {
            "current-context": "a",
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "clusters": [{"name": "a", "cluster": {"server": f"http://127.0.0.1:{server}"}}],
            "users": [{"name": "a", "user": {}}],
        }
        # JSON is YAML.
        kubeconfig.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **content}))
        command = [sys.executable, "-m", "webhook", "watch", "--host", "127.0.0.1", "--port", str(self.port)]
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        self.pid = self._process.pid

    def metrics(self) -> str:
        """Scrape it; there is no response while it starts."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def until(self, metric: str, value: int) -> None:
        """Wait until the series of a metric sum up to a value."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", self.metrics(), re.MULTILINE)
            if found and sum(map(float, found)) == value:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"{metric} is not {value} but {found[:5]}")
            time.sleep(0.5)

    @property
    def peak_mib(self) -> float:
        """Its peak memory."""
        (line,) = re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        return int(line) / 1024

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)


@contextmanager
def _running() -> Iterator[tuple[ApiServer, Process]]:
    server = ApiServer()
    with tempfile.TemporaryDirectory() as folder:
        process = Process(server.port, Path(folder))
        try:
            yield server, process
        finally:
            process.close()


def measure() -> Iterator[tuple[str, float, float, float]]:
    """Return for each step its name, the memory and its peak in MiB, and its processor seconds."""
    with _running() as (server, process):
        before = usage(process.pid)

        def row(what: str) -> tuple[str, float, float, float]:
            nonlocal before
            now = usage(process.pid)
            used = now.since(before).processor
            before = now
            return what, resident_mib(process.pid), process.peak_mib, used

        process.until("graceful_worker_watch_pods", PODS)
        yield row(f"start, and a list of {PODS} pods")
        for number in range(DRAINS):
            server.tell("MODIFIED", server.pod(number, period=GRACE))
        process.until("graceful_worker_drains_running", DRAINS)
        yield row(f"{DRAINS} drains begin at once")
        for number in range(DRAINS):
            code = 137 if number % 50 == 0 else 0
            server.tell("MODIFIED", server.pod(number, period=GRACE, code=code))
            server.tell("MODIFIED", server.pod(number, period=0, code=code))
            server.tell("DELETED", server.pod(number, period=0, code=code))
        process.until("graceful_worker_drains_total", DRAINS)
        yield row(f"these end, in {3 * DRAINS} lines")
        size = len(process.metrics())
        for _ in range(10):
            time.sleep(1.1)
            process.metrics()
        yield row(f"10 scrapes of {size // 1024} KiB")
        for _ in range(5):
            begun = server.begun
            server.expire()
            while server.begun == begun:
                time.sleep(0.1)
        process.until("graceful_worker_watch_pods", PODS)
        yield row("5 times all pods listed again")
        time.sleep(30)
        yield row("30 s in which nothing happens")


if __name__ == "__main__":
    print("| what | memory, MiB | its peak so far, MiB | CPU, s |\n|---|---|---|---|")
    for what, memory, peak, used in measure():
        print(f"| {what} | {memory:.1f} | {peak:.1f} | {used:.2f} |", flush=True)
