"""Time and memory of `graceful-worker status` and `drains` in a cluster of 10,000 protected pods, of which 1,000 drain.

The API server is a stand-in, in a process of its own on loopback, by plain HTTP. Its answers are made before the
first request, so that it takes little of the time that is measured: `python -m benchmarks.large_cluster FOLDER`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ruamel.yaml import YAML

from benchmarks.cluster_pods import GRACE, ClusterPods, Json
from benchmarks.environment import ROOT, SERVER_CORE

PODS, DRAINS = 10_000, 1_000
NAMESPACES = [f"tenant-{number}" for number in range(10)]
COMMANDS = {"status": ("status",), "status --pods": ("status", "--pods"), "drains": ("drains",)}
CONFIGURATION = ROOT / "deploy" / "base" / "webhook-configuration.yaml"
PATIENCE = 120.0


def measure_large_cluster(rounds: int) -> dict[str, Any]:
    """Run each command several times; return its time, processor time, peak memory, and the requested lists."""
    with TemporaryDirectory() as name, _api_server(Path(name)):
        rows = {
            title: _middle([_run(Path(name), command) for _ in range(rounds)]) for title, command in COMMANDS.items()
        }
        return {"pods": PODS, "drains": DRAINS, "rows": rows}


def _middle(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: median(run[key] for run in runs) for key in runs[0]}


def _run(folder: Path, command: tuple[str, ...]) -> dict[str, float]:
    words = ["taskset", "--cpu-list", str(SERVER_CORE), sys.executable, "-m", "webhook", *command]
    environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig")}
    begin = time.monotonic()
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    peak = 0.0
    # Not ru_maxrss: it begins with the memory of the process that started this one.
    while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        peak = max(peak, _peak_mib(process.pid))
        time.sleep(0.02)
    _, code, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(code)
    seconds = time.monotonic() - begin
    text = (folder / "output").read_text()
    if process.returncode == 2 or f"{PODS if command[0] == 'status' else DRAINS}" not in text.replace(",", ""):
        raise SystemExit(f"graceful-worker {' '.join(command)} did not see the pods:\n{text[:2000]}")
    return {"seconds": seconds, "processor": used.ru_utime + used.ru_stime, "peak": peak}


def _peak_mib(pid: int) -> float:
    """Return the peak of a process's memory since it became this program; 0 once it has ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0.0)


@contextmanager
def _api_server(folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.large_cluster", str(folder)]
    # It says so when a client leaves in the middle of a page, as `drains` does when that is too large.
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while not (folder / "kubeconfig").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the stand-in for the API server does not start")
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait(10)


def _texts() -> list[bytes]:
    """Return the protected pods."""
    pods = ClusterPods()
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    periods = [None if number % (PODS // DRAINS) else GRACE for number in range(PODS)]
    return [
        json.dumps(pods.pod(number, period=period) | {"status": status}, separators=(",", ":")).encode()
        for number, period in enumerate(periods)
    ]


def _objects() -> dict[str, Json]:
    """Return the objects and lists by path."""
    configuration = YAML(typ="safe", pure=True).load(CONFIGURATION)
    names = [*NAMESPACES, "graceful-worker", "kube-system"]
    namespaces = [{"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}} for name in names]
    group = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    return {
        f"{group}/{configuration['metadata']['name']}": configuration,
        "/api/v1/namespaces": {"metadata": {}, "items": namespaces},
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pods: list[bytes]
    objects: dict[str, bytes]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = parse_qs(url.query)
        selector = asked.get("labelSelector", [""])[0]
        empty = b'{"kind":"List","metadata":{"resourceVersion":"1"},"items":[]}'
        if url.path == "/api/v1/pods" and selector == "graceful-worker/injected=true":
            begin, limit = int(asked.get("continue", ["0"])[0]), int(asked["limit"][0])
            rest = f"{begin + limit}" if begin + limit < len(self.pods) else ""
            head = f'{{"kind":"PodList","metadata":{{"resourceVersion":"1","continue":"{rest}"}},"items":['
            self._send(200, head.encode() + b",".join(self.pods[begin : begin + limit]) + b"]}")
        elif url.path in self.objects:
            self._send(200, self.objects[url.path])
        elif url.path.count("/") > 5:
            self._send(404, b'{"kind":"Status","code":404,"message":"not found"}')
        else:
            self._send(200, empty)

    def _send(self, code: int, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main(folder: Path) -> None:
    """Serve, and write a kubeconfig for it."""
    _Handler.pods = _texts()
    _Handler.objects = {path: json.dumps(one).encode() for path, one in _objects().items()}
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    cluster = {"server": f"http://127.0.0.1:{server.server_address[1]}"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": cluster}],
        "users": [{"name": "a", "user": {}}],
    }
    # JSON is YAML.
    written = folder / "kubeconfig.new"
    written.write_text(json.dumps(content))
    written.rename(folder / "kubeconfig")
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
