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
TIMEOUT_SECONDS = 60


def program(name: str) -> str | None:
    """Return the path of Prometheus or of one of its tools: an installed one, or the one that make has unpacked."""
    return shutil.which(name) or shutil.which(name, path=UNPACKED)


def missing() -> str:
    """Return what is missing; empty if nothing is."""
    return "" if program("prometheus") and program("promtool") else "no prometheus (make prometheus unpacks Debian's)"


def checked(rules: list[dict[str, Any]], directory: Path) -> Path:
    """Write rules as a file for Prometheus, checked by promtool."""
    file = directory / "rules.json"
    # JSON is valid YAML.
    file.write_text(json.dumps({"groups": [{"name": "rules", "rules": rules}]}))
    done = subprocess.run(
        [str(program("promtool")), "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return file


class Prometheus:
    """A client for a running Prometheus."""

    def __init__(self, port: int) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query."""
        response = self._client.get("/api/v1/query", params={"query": expression}).json()
        assert response["status"] == "success", f"{expression}: {response}"
        found: list[dict[str, Any]] = response["data"]["result"]
        return found

    def query_range(self, expression: str, begin: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the series of a range query."""
        wanted: dict[str, str | float] = {"query": expression, "start": begin, "end": end, "step": step}
        response = self._client.get("/api/v1/query_range", params=wanted).json()
        assert response["status"] == "success", f"{expression}: {response}"
        found: list[dict[str, Any]] = response["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """Return the names of the alerts whose expression is true, regardless of their `for`."""
        alerts = self._client.get("/api/v1/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts}

    def is_ready(self) -> bool:
        """Return whether Prometheus is ready."""
        try:
            return self._client.get("/-/ready").is_success
        except httpx.TransportError:
            return False

    def until(self, expression: str) -> list[dict[str, Any]]:
        """Wait until an expression has a result."""
        found: list[dict[str, Any]] = []

        def has_result() -> bool:
            found[:] = self.query(expression)
            return bool(found)

        wait_for(has_result, f"nothing comes of {expression}")
        return found


def wait_for(condition: Callable[[], bool], otherwise: str) -> None:
    """Wait until a condition is true; fail with the message `otherwise` if that takes too long."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


@contextmanager
def prometheus(directory: Path, target: int, rules: Path) -> Iterator[Prometheus]:
    """Run a Prometheus."""
    (port,) = free_ports(1)
    configuration = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": "watch", "honor_labels": True, "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
        ],
    }
    (directory / "prometheus.json").write_text(json.dumps(configuration))
    command = [
        str(program("prometheus")),
        f"--config.file={directory / 'prometheus.json'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    server = Prometheus(port)
    try:
        wait_for(server.is_ready, "Prometheus does not become ready")
        yield server
    finally:
        server.close()
        process.terminate()
        process.wait(30)
