"""The log: one JSON object per line on standard output, without pods, environment values or patches.

It is written in a thread, so that a reader that stops reading blocks nothing.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections import deque
from contextlib import suppress
from functools import lru_cache
from typing import Any

import msgspec

LOGGER = "graceful_worker"
MAX_VALUE_LENGTH = 253
"""Maximum length of a value from a request: the longest name that Kubernetes allows."""
FIELDS = "fields"
MAX_QUEUED_BYTES = 1024 * 1024
"""Capacity of the queue, some 4,000 lines. When it is full, lines are dropped and counted."""
_DROPPED_LINES = b'{"level":"warning","message":"log lines dropped, as nobody read them","count":%d}\n'


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON; the record's `fields` become keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line |= getattr(record, FIELDS, {})
        if record.exc_info:
            # Log where it happened, but not the message: an exception's text may quote the pod.
            error = record.exc_info[1]
            line["error"] = type(error).__name__
            line["stack"] = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(record.exc_info[2])]
        return msgspec.json.encode(line).decode()


class LogWriter:
    """Standard output, for the log.

    A pipe holds 64 KiB. After that, a write blocks, and on the event loop it would block every review: measured, 262
    reviews after the reader stopped.
    """

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._queued_bytes = 0
        self._changed = threading.Condition()
        self._dropped = 0
        self._is_writing = False
        self._thread: threading.Thread | None = None

    def write(self, data: bytes | str) -> None:
        """Take whole lines."""
        lines = data.encode() if isinstance(data, str) else data
        with self._changed:
            if self._queued_bytes + len(lines) > MAX_QUEUED_BYTES:
                self._dropped += lines.count(b"\n")
                return
            self._lines.append(lines)
            self._queued_bytes += len(lines)
            if self._thread is None:
                # Do not wait for the reader at the end of the process, either.
                self._thread = threading.Thread(target=self._write_lines, name="log", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self) -> None:
        """Do nothing: written lines are already queued."""

    def drain(self, seconds: float) -> bool:
        """Wait until everything has been written, or the timeout expires; tell which."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines and not self._is_writing, seconds)

    def _write_lines(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._lines))
                batch = b"".join(self._lines)
                self._lines.clear()
                self._is_writing = True
            # An unreadable log must not cause a failure, whatever the error; and there is no other thread.
            with suppress(Exception):
                sys.stdout.buffer.write(batch)
                sys.stdout.buffer.flush()
            with self._changed:
                self._queued_bytes -= len(batch)
                self._is_writing = False
                dropped, self._dropped = self._dropped, 0
                if dropped:
                    self._lines.append(_DROPPED_LINES % dropped)
                    self._queued_bytes += len(self._lines[-1])
                self._changed.notify_all()


LOG_WRITER = LogWriter()
"""A process has only one standard output."""


def configure_logs(level: str) -> logging.Logger:
    """Send the logs of this program, uvicorn and asyncio to standard output as JSON."""
    handler = logging.StreamHandler(LOG_WRITER)
    handler.setFormatter(JsonFormatter())
    for name in (LOGGER, "uvicorn", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [handler] if name != "uvicorn.error" else []
        logger.setLevel(level.upper())
        logger.propagate = name == "uvicorn.error"
    return logging.getLogger(LOGGER)


def timestamp(at: float) -> str:
    """Format a time, in seconds since 1970."""
    second = int(at)
    return f"{_format_second(second)}.{int((at - second) * 1000):03d}Z"


@lru_cache(maxsize=1)
def _format_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def truncate(value: str) -> str:
    """Shorten a value from a request."""
    return value[:MAX_VALUE_LENGTH]
