"""Waiting for a condition, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], object], seconds: float = 60, what: str = "the condition", poll: float = 0.1
) -> float:
    """Wait until a condition holds; return the seconds that it took.

    Raises:
        TimeoutError: The condition did not hold in time.

    """
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(poll)
    return time.monotonic() - begin
