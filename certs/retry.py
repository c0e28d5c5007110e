"""Retries an action with exponential backoff, whatever its errors, because it must never stop."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from certs.errors import describe_error

LOGGER = "graceful_worker"
INITIAL_BACKOFF, MAX_BACKOFF = 0.5, 30.0
"""In seconds."""


class Backoff:
    """The pause after a failure: it doubles each time, with jitter."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Return to the shortest pause."""
        self._pause = INITIAL_BACKOFF

    def next(self) -> float:
        """Return the next pause, in seconds."""
        pause, self._pause = self._pause, min(2 * self._pause, MAX_BACKOFF)
        return pause * random.uniform(0.75, 1.25)  # noqa: S311 - no secret


class FailureCounter(Protocol):
    """Counts failures."""

    failures: int


async def retry_forever(action: Callable[[], Awaitable[None]], consequence: str, metrics: FailureCounter) -> None:
    """Repeat an action until cancelled; failures are counted and logged with their `consequence`."""
    backoff = Backoff()
    while True:
        try:
            await action()
            backoff.reset()
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            # What it was waiting for may have been cancelled instead of this task.
            if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                raise
            metrics.failures += 1
            logging.getLogger(LOGGER).error("%s: %s", consequence, describe_error(error))
            await asyncio.sleep(backoff.next())
