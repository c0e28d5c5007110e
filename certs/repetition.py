"""Repeats an action despite errors, because it must never stop."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

LOGGER = "graceful_worker"
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Pause in seconds after the first failure; it doubles each time."""
_LONGEST_WORDS = 300


class Trouble(Exception):
    """An expected error whose message contains no keys."""


class Failures(Protocol):
    """Counts failures."""

    failures: int


async def repeat(act: Callable[[], Awaitable[None]], what: str, events: Failures) -> None:
    """Repeat an action until cancelled; failures are counted and logged with `what` they cause."""
    pause = FIRST_PAUSE
    while True:
        try:
            await act()
            pause = FIRST_PAUSE
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            events.failures += 1
            logging.getLogger(LOGGER).error("%s: %s", what, told(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def told(error: BaseException) -> str:
    """Describe an error; for an unexpected one, only its place, because its message may quote anything."""
    if isinstance(error, Trouble | OSError):
        words = f"{type(error).__name__}: {error}"
        return words if len(words) <= _LONGEST_WORDS else f"{words[:_LONGEST_WORDS]}…"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def _is_cancelled() -> bool:
    """Tell whether this task was cancelled, and not something that it was waiting for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
