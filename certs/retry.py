"""Retries an action with exponential backoff, whatever its errors, because it must never stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from certs.errors import describe_error

LOGGER = "graceful_worker"
INITIAL_BACKOFF, MAX_BACKOFF = 0.5, 30.0
"""Backoff in seconds after the first failure; it doubles each time."""


class FailureCounter(Protocol):
    """Counts failures."""

    failures: int


async def retry_forever(action: Callable[[], Awaitable[None]], consequence: str, metrics: FailureCounter) -> None:
    """Repeat an action until cancelled; failures are counted and logged with their `consequence`."""
    backoff = INITIAL_BACKOFF
    while True:
        try:
            await action()
            backoff = INITIAL_BACKOFF
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            metrics.failures += 1
            logging.getLogger(LOGGER).error("%s: %s", consequence, describe_error(error))
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, MAX_BACKOFF)


def _is_cancelled() -> bool:
    """Tell whether this task was cancelled, and not something that it was waiting for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
