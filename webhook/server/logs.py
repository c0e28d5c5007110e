"""The log: one JSON object per line on standard output, without pods, environment values or patches."""

from __future__ import annotations

import logging
import time
import traceback
from functools import lru_cache
from typing import Any

import msgspec

from webhook.server.log_output import LOG_OUTPUT

LOGGER = "graceful_worker"
LONGEST_VALUE = 253
"""Maximum length of a value from a request: the longest name that Kubernetes allows."""
FIELDS = "fields"


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


def configure_logs(level: str) -> logging.Logger:
    """Send the logs of this program, uvicorn and asyncio to standard output as JSON."""
    handler = logging.StreamHandler(LOG_OUTPUT)
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
    return f"{_until_second(second)}.{int((at - second) * 1000):03d}Z"


@lru_cache(maxsize=1)
def _until_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def clip(value: str) -> str:
    """Shorten a value from a request."""
    return value[:LONGEST_VALUE]
