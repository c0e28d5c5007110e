"""A Redis server on loopback, which can be stopped and started again with its data."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

START_SECONDS = 20


def refusal() -> str:
    """Return why no broker can run on this machine; empty if one can."""
    return "" if shutil.which("redis-server") else "redis-server is not installed"


class Broker:
    """A Redis server that writes every change to its file before it responds, so that a kill loses no data."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.start()

    def start(self) -> None:
        """Start the server and wait until it responds."""
        settings = {"port": self.port, "bind": "127.0.0.1", "dir": self._directory, "appendonly": "yes", "save": ""}
        command = ["redis-server", *(word for name, value in settings.items() for word in (f"--{name}", str(value)))]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._responds():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("redis-server did not start:\n" + (self._directory / "log").read_text()[-2000:])
            time.sleep(0.01)

    def _responds(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16) == b"+PONG\r\n"
        except OSError:
            return False

    def kill(self) -> None:
        """Kill the server: connections break, and new ones are refused."""
        self._process.kill()
        self._process.wait()
