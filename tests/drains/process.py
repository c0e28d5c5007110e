"""Runs `graceful-worker drains` as a process, on a pipe or on a terminal, and reads its output."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from tests.drains.api_server import TIMEOUT_SECONDS, write_kubeconfig

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class DrainsProcess:
    """A running command; its output is awaited long enough for a busy machine."""

    def __init__(
        self, directory: Path, address: str, *arguments: str, size: tuple[int, int] | None = None, term: str = "xterm"
    ) -> None:
        """Start the command; with a size (rows and columns), on a terminal."""
        reading, writing = pty.openpty() if size else os.pipe()
        if size:
            fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        file = directory / "kubeconfig"
        kubeconfig = write_kubeconfig(file, address) if address else file
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "TERM": term, "NO_PROXY": "127.0.0.1"}
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            environment.pop(name, None)
        self._reading = reading
        self._process = subprocess.Popen(
            [sys.executable, "-m", "webhook", "drains", *arguments],
            stdin=writing if size else subprocess.DEVNULL,
            stdout=writing,
            stderr=subprocess.PIPE,
            env=environment,
        )
        os.close(writing)
        # A read may end in the middle of a UTF-8 character.
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.raw = ""

    @property
    def text(self) -> str:
        """The output so far, without the escape sequences that move the cursor."""
        return _ESCAPES.sub("", self.raw).replace("\r", "")

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def until(self, *words: str) -> None:
        """Read until all of these words are in the output that follows this call."""
        begin = len(self.text)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not all(word in self.text[begin:] for word in words):
            assert time.monotonic() < deadline, f"none of {words} in {self.text[begin:][-2000:]!r}"
            assert self._read(), f"it ended without {words}: {self.text[begin:][-2000:]!r}"

    def until_count(self, word: str, count: int) -> None:
        """Read until the output contains a word `count` times."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self.raw.count(word) < count:
            assert time.monotonic() < deadline, f"{word} came {self.raw.count(word)} times"
            assert self._read(), "it ended"

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def interrupt(self, number: int = signal.SIGINT) -> int:
        self._process.send_signal(number)
        return self.end()

    def end(self) -> int:
        """Read to the end of the output, and return the exit code."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self._read():
            assert time.monotonic() < deadline, "it does not end"
        code = self._process.wait(TIMEOUT_SECONDS)
        assert self._process.stderr
        self.errors = self._process.stderr.read().decode()
        self._process.stderr.close()
        return code

    def _read(self) -> bool:
        if not select.select([self._reading], [], [], 0.5)[0]:
            return True
        try:
            some = os.read(self._reading, 65536)
        except OSError:  # a terminal's end of file
            return False
        self.raw += self._decoder.decode(some)
        return bool(some)

    def __enter__(self) -> DrainsProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(TIMEOUT_SECONDS)
        if self._process.stderr:
            self._process.stderr.close()
        os.close(self._reading)
