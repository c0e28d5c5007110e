"""Waiting for something that a pod does."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(what: str, condition: Callable[[], object], seconds: float, poll: float = 0.01) -> None:
    """Wait for something.

    Raises:
        TimeoutError: it did not come.

    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(poll)
