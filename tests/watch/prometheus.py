"""A real Prometheus that scrapes one port of this machine every half second."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.apiserver.control_plane import free_ports

UNPACKED = Path(__file__).parent.parent.parent / ".local" / "prometheus" / "usr" / "bin"
PATIENCE = 60


def program(name: str) -> str | None:
    """Return Prometheus, or a tool of its package: one that is installed, or the one that make has unpacked."""
    return shutil.which(name) or shutil.which(name, path=UNPACKED)


def missing() -> str:
    """Say what is missing; empty where nothing is."""
    return "" if program("prometheus") and program("promtool") else "no prometheus (make prometheus unpacks Debian's)"


def checked(rules: list[dict[str, Any]], room: Path) -> Path:
    """Write rules as a file that Prometheus takes, checked by its own tool."""
    file = room / "rules.json"
    # JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "rules", "rules": rules}]}))
    done = subprocess.run(
        [str(program("promtool")), "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return file


class Prometheus:
    """Answers queries."""

    def __init__(self, port: int) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query."""
        answer = self._client.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def ask_range(self, expression: str, begin: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the series of a query over a time."""
        wanted: dict[str, str | float] = {"query": expression, "start": begin, "end": end, "step": step}
        answer = self._client.get("/api/v1/query_range", params=wanted).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """Return the names of the alerts whose expression is true, whatever their `for` says."""
        alerts = self._client.get("/api/v1/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts}

    def is_ready(self) -> bool:
        """Tell whether it answers."""
        try:
            return self._client.get("/-/ready").is_success
        except httpx.TransportError:
            return False

    def until(self, expression: str) -> list[dict[str, Any]]:
        """Wait until an expression has a result."""
        found: list[dict[str, Any]] = []

        def has_result() -> bool:
            found[:] = self.ask(expression)
            return bool(found)

        wait_for(has_result, f"nothing comes of {expression}")
        return found


def wait_for(condition: Callable[[], bool], otherwise: str) -> None:
    """Wait until something is true, with an error if it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


@contextmanager
def prometheus(room: Path, target: int, rules: Path) -> Iterator[Prometheus]:
    """Run a Prometheus."""
    (port,) = free_ports(1)
    configuration = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": "watch", "honor_labels": True, "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
        ],
    }
    (room / "prometheus.json").write_text(json.dumps(configuration))
    command = [
        str(program("prometheus")),
        f"--config.file={room / 'prometheus.json'}",
        f"--storage.tsdb.path={room / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (room / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    server = Prometheus(port)
    try:
        wait_for(server.is_ready, "Prometheus does not become ready")
        yield server
    finally:
        server.close()
        process.terminate()
        process.wait(30)
