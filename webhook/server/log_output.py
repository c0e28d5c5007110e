"""Writes the log in a thread of its own: a reader who has stopped reading stops nobody."""

from __future__ import annotations

import sys
import threading
from collections import deque
from contextlib import suppress

MOST_BYTES = 1024 * 1024
"""What may wait for the reader: some 4,000 lines. What comes when it is full is dropped, and counted."""
_DROPPED = b'{"level":"warning","message":"log lines dropped, as nobody read them","count":%d}\n'


class LogOutput:
    """Standard output, for the log.

    A pipe holds 64 KiB. Then a write waits for the reader, and with it, on the event loop, every review: measured, 262
    reviews after the reader has stopped.
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
                # Not at the end of the process either may the reader be waited for.
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self) -> None:
        """Do nothing: what is written is on its way."""

    def drain(self, seconds: float) -> bool:
        """Wait until all that was written is away, or the time is over; tell which."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines and not self._busy, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._lines))
                batch = b"".join(self._lines)
                self._lines.clear()
                self._busy = True
            # A log that nobody takes is no reason to fail, for whatever reason; and there is no other thread.
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
"""The process has one standard output."""
