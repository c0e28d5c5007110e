"""Starts and stops the servers to compare: each is a file in `servers/`, or a command line."""

from __future__ import annotations

import itertools
import shutil
import signal
import socket
import ssl
import subprocess
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environment import BENCH, BENCH_PYTHON, CLIENT_CORE, PYTHON, ROOT, SERVER_CORE, SERVERS, Certificate

TIMEOUT_SECONDS = 20.0
_numbers = itertools.count()


@dataclass(frozen=True)
class ServerSpec:
    """What a file in `servers/` says of a server.

    `answer` is what its answers are verified for: that the pod is protected (protects), no more than that it is
    allowed (static), or, of a webhook that is not known here, that the patch applies (any). `needs` is a program
    without which it is left out; `files` have placeholders, like `command`; `stop` is the signal that ends it at
    once; `versions` are the packages that it stands on, `version` is a command that prints one.
    """

    name: str
    title: str
    what: str
    role: str
    command: tuple[str, ...]
    answer: str
    path: str = "/mutate"
    ready: str = ""
    stop: str = "TERM"
    needs: str = ""
    port: int = 0
    files: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    version: tuple[str, ...] = ()

    @property
    def program(self) -> str | None:
        """The path of the required program; None if it is not installed."""
        return shutil.which(self.needs, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")

    @property
    def is_from_command_line(self) -> bool:
        """Whether it was given on the command line."""
        return bool(self.port)

    @property
    def is_installed(self) -> bool:
        """Whether it can be started here."""
        return not self.needs or self.program is not None


def read_spec(name: str) -> ServerSpec:
    """Read a server's file."""
    row: dict[str, Any] = tomllib.loads((SERVERS / f"{name}.toml").read_text(encoding="utf-8"))
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return ServerSpec(name=name, **fields)


def installed_specs() -> list[ServerSpec]:
    """Return all servers that can be started here: ours first, the baselines last."""
    known = [read_spec(path.stem) for path in SERVERS.glob("*.toml")]
    order = ["ours", "peer", "floor"]
    return sorted((spec for spec in known if spec.is_installed), key=lambda spec: (order.index(spec.role), spec.name))


def spec_from_command_line(name: str, port: str, command: Sequence[str]) -> ServerSpec:
    """Return a server given on the command line: any webhook that listens with TLS on a port of 127.0.0.1."""
    return ServerSpec(name, name, "given on the command line", "peer", tuple(command), "any", port=int(port))


@dataclass(frozen=True)
class RunningServer:
    """A running server."""

    spec: ServerSpec
    process: subprocess.Popen[bytes]
    port: int
    trust: ssl.SSLContext
    folder: Path
    start_seconds: float
    """Seconds from the start of the process to the first response."""

    @property
    def pid(self) -> int:
        """The started process; it may have children."""
        return self.process.pid

    @property
    def url(self) -> str:
        """The path for reviews."""
        return f"https://127.0.0.1:{self.port}{self.spec.path}"

    def connect(self) -> ssl.SSLSocket:
        """Open a connection and verify the server's certificate."""
        return connect(self.port, self.trust)


def connect(port: int, trust: ssl.SSLContext) -> ssl.SSLSocket:
    """Open a TLS connection."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return trust.wrap_socket(plain, server_hostname="127.0.0.1")
    except BaseException:
        plain.close()
        raise


@contextmanager
def running(spec: ServerSpec, certificate: Certificate, core: int | None = SERVER_CORE) -> Iterator[RunningServer]:
    """Run a server on one core; its output goes to a temporary file."""
    folder = BENCH / "running" / f"{spec.name}-{next(_numbers)}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = spec.port or _free_port()
    values: dict[str, Any] = {
        "python": PYTHON, "bench": BENCH_PYTHON, "servers": SERVERS, "needs": spec.program, "folder": folder,
        "port": port, "certificate": certificate.chain, "key": certificate.key,
    }  # fmt: skip
    for file in spec.files:
        (folder / file).write_text((SERVERS / file).read_text(encoding="utf-8").format_map(values), encoding="utf-8")
    command = ["taskset", "--cpu-list", str(core), *(word.format_map(values) for word in spec.command)]
    trust = ssl.create_default_context(cafile=certificate.ca)
    with (folder / "output").open("wb") as output:
        begin = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_ready(spec, process, port, trust, folder)
        yield RunningServer(spec, process, port, trust, folder, time.monotonic() - begin)
    finally:
        _end(process, spec.stop)
        shutil.rmtree(folder)


def on_client_core(*command: str) -> list[str]:
    """Return a command that runs a client on the core that the server does not use."""
    return ["taskset", "--cpu-list", str(CLIENT_CORE), *command]


def _wait_until_ready(
    spec: ServerSpec, process: subprocess.Popen[bytes], port: int, trust: ssl.SSLContext, folder: Path
) -> None:
    path = spec.ready or spec.path
    request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode()
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{spec.title} does not serve:\n{(folder / 'output').read_text()}")
        try:
            with connect(port, trust) as connection:
                connection.sendall(request)
                status = connection.recv(64)
        except (ConnectionError, ssl.SSLError):
            time.sleep(0.005)
            continue
        # Without such a page, any response shows that it serves.
        if status.startswith(b"HTTP/1.1 200") or (status and not spec.ready):
            return


def _end(process: subprocess.Popen[bytes], stop: str) -> None:
    if process.poll() is None:
        process.send_signal(signal.Signals[f"SIG{stop}"])
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
