"""The server as a process: its options, its output, and how it stops."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .wire import Connection, HttpResponse, get, post

PROGRAM = Path(__file__).with_name("serve.py")
FLAGS = {
    "port": "--port",
    "drain_seconds": "--drain",
    "log_level": "--log-level",
    "grace_period": "--grace-period",
    "body_limit": "--body-limit",
    "image_commands": "--image-commands",
    "registry_hosts": "--registry-host",
    "registry_ca": "--registry-ca",
    "registry_local": "--registry-local",
    "registry_plain_http": "--registry-plain-http",
    "registry_credentials": "--registry-credentials",
    "client_ca": "--client-ca",
    "client_names": "--client-name",
    "registry_trouble": "--registry-trouble",
}
"""The options that the command line has, too, with their flags."""
PATIENCE = 60
"""Time limit in seconds: nothing takes this long, however busy the machine is."""
LISTENING = re.compile(r"running on https://127\.0\.0\.1:(\d+)")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true, and fail if that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def serve_command(certificate: Path, options: dict[str, Any]) -> list[str]:
    """Return the command that starts a server: the command line, or serve.py for options that it does not have."""
    given = {"host": "127.0.0.1", "tls_cert": str(certificate / "tls.crt"), "tls_key": str(certificate / "tls.key")}
    options = dict(options)
    switches = [f"--{name.replace('_', '-')}" for name in ("registry", "eviction_guard") if options.pop(name, False)]
    if options.keys() <= FLAGS.keys():
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        flags += [f"{FLAGS[name]}={value}" for name, value in options.items()]
        if "--registry" not in switches and not any(name.startswith("registry") for name in options):
            switches.append("--no-registry")
        return [sys.executable, "-m", "webhook", "serve", *flags, *switches]
    # -P keeps this folder off sys.path.
    return [sys.executable, "-P", str(PROGRAM), json.dumps(given | options)]


class Server:
    """A server process with its own port."""

    def __init__(
        self, folder: Path, certificate: Path, options: dict[str, Any], environment: Mapping[str, str] | None = None
    ) -> None:
        self.certificate = certificate
        self.trust = ssl.create_default_context(cafile=certificate / "ca.crt")
        self._output = folder / "stdout"
        self._errors = folder / "stderr"
        # At these levels the line with the port is not logged.
        self.port = free_port() if options.get("log_level") in ("warning", "error") else 0
        command = serve_command(certificate, {"port": self.port, **options})
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environment
            )

    def wait_until_ready(self) -> None:
        wait_for(self._is_ready)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.output
        listening = LISTENING.search(self._output.read_text())
        self.port = int(listening[1]) if listening else self.port
        try:
            return self.port != 0 and self.get("/readyz").status == 200
        except ConnectionError:
            return False

    def connect(self, hostname: str = "127.0.0.1", trust: ssl.SSLContext | None = None) -> Connection:
        return Connection(self.port, trust or self.trust, hostname)

    def exchange(self, data: bytes) -> HttpResponse:
        """Send a request on a new connection."""
        with self.connect() as connection:
            return connection.exchange(data)

    def get(self, path: str) -> HttpResponse:
        return self.exchange(get(path))

    def review(self, review: Any) -> HttpResponse:
        """Send an AdmissionReview; bytes are sent as they are."""
        return self.exchange(post(review if isinstance(review, bytes) else json.dumps(review).encode()))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self, seconds: float) -> int:
        return self.process.wait(seconds)

    def kill(self) -> None:
        """Kill the process, whatever its state is."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        """Stop the process as Ctrl-C does, and check its output: nothing on stderr, and only complete log lines."""
        try:
            if self.process.poll() is None:
                self.signal(signal.SIGINT)
                assert self.exit_code(PATIENCE) == 0
        finally:
            self.kill()
        assert self._errors.read_text() == ""
        assert all(line.keys() >= {"time", "level", "message"} for line in self.log())

    @property
    def output(self) -> str:
        return self._output.read_text() + self._errors.read_text()

    def log(self) -> list[dict[str, Any]]:
        """All lines so far, each of which is a JSON object."""
        lines: list[dict[str, Any]] = [json.loads(line) for line in self._output.read_bytes().splitlines()]
        return lines

    def lines(self, count: int = 1, **fields: str) -> list[dict[str, Any]]:
        """Wait for at least `count` log lines whose fields contain these words, and return all such lines.

        The server writes its log lines with a short delay.
        """

        def found() -> list[dict[str, Any]]:
            return [line for line in self.log() if all(words in str(line.get(key)) for key, words in fields.items())]

        wait_for(lambda: len(found()) >= count)
        return found()

    def log_of(self, uid: str) -> dict[str, Any]:
        """Return the only log line about a review."""
        (line,) = self.lines(uid=uid)
        return line

    @property
    def resident_kib(self) -> int:
        """The resident memory of the process."""
        return self._memory("VmRSS")

    @property
    def peak_kib(self) -> int:
        """The most resident memory that the process has had."""
        return self._memory("VmHWM")

    def _memory(self, key: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (size,) = re.findall(rf"^{key}:\s+(\d+) kB$", status, re.MULTILINE)
        return int(size)


class Servers:
    """Starts server processes, and stops them all."""

    def __init__(self, folder: Path, certificate: Path, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._certificate = certificate
        self._environment = environment or {}
        self._numbers = itertools.count()
        self._started: list[Server] = []

    def start(self, **options: Any) -> Server:
        server = self.launch(**options)
        server.wait_until_ready()
        return server

    def launch(self, **options: Any) -> Server:
        """Start a server without waiting until it is ready."""
        folder = self._folder / f"server-{next(self._numbers)}"
        folder.mkdir()
        server = Server(folder, self._certificate, options, {**os.environ, **self._environment})
        self._started.append(server)
        return server

    def stop(self) -> None:
        try:
            for server in self._started:
                server.stop()
        finally:
            for server in self._started:
                with suppress(OSError):
                    server.kill()
