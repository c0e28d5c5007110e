"""Measures how processor time grows with the size of the input: a ratio, because seconds depend on the machine."""

from __future__ import annotations

import time
from collections.abc import Callable

_AT_ONCE = 0.001
"""Processor seconds below which a time is nothing but noise."""


def processor_seconds(work: Callable[[], object]) -> float:
    """Return the processor time of some work, the best of three: others may be using the machine."""
    return min(_once(work) for _ in range(3))


def growth(work: Callable[[int], object], size: int, times: int) -> float:
    """Return how many times longer the work takes with `times` times the size: about `times` where it is linear."""
    small = processor_seconds(lambda: work(size))
    return processor_seconds(lambda: work(size * times)) / max(small, _AT_ONCE)


def _once(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin
