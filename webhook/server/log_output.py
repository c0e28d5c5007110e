"""Writes the log in a thread, so that a reader that stops reading blocks nothing."""

from __future__ import annotations

import sys
import threading
from collections import deque
from contextlib import suppress

MOST_BYTES = 1024 * 1024
"""Capacity of the queue, some 4,000 lines. When it is full, lines are dropped and counted."""
_DROPPED = b'{"level":"warning","message":"log lines dropped, as nobody read them","count":%d}\n'


class LogOutput:
    """Standard output, for the log.

    A pipe holds 64 KiB. After that, a write blocks, and on the event loop it would block every review: measured, 262
    reviews after the reader stopped.
    """

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._dropped = 0
        self._busy = False
        self._thread: threading.Thread | None = None

    def write(self, data: bytes | str) -> None:
        """Take whole lines."""
        lines = data.encode() if isinstance(data, str) else data
        with self._changed:
            if self._bytes + len(lines) > MOST_BYTES:
                self._dropped += lines.count(b"\n")
                return
            self._lines.append(lines)
            self._bytes += len(lines)
            if self._thread is None:
                # Do not wait for the reader at the end of the process, either.
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self) -> None:
        """Do nothing: written lines are already queued."""

    def drain(self, seconds: float) -> bool:
        """Wait until everything has been written, or the timeout expires; tell which."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines and not self._busy, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._lines))
                batch = b"".join(self._lines)
                self._lines.clear()
                self._busy = True
            # An unreadable log must not cause a failure, whatever the error; and there is no other thread.
            with suppress(Exception):
                sys.stdout.buffer.write(batch)
                sys.stdout.buffer.flush()
            with self._changed:
                self._bytes -= len(batch)
                self._busy = False
                dropped, self._dropped = self._dropped, 0
                if dropped:
                    self._lines.append(_DROPPED % dropped)
                    self._bytes += len(self._lines[-1])
                self._changed.notify_all()


LOG_OUTPUT = LogOutput()
"""A process has only one standard output."""
