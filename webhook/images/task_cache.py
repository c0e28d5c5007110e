"""Caches what coroutines return, and runs each once for all that wait for it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class TaskCache(Generic[Key, Value]):
    """Keeps a limited number of results, and exceptions, for some seconds."""

    def __init__(self, seconds: float, max_entries: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._max_entries = max_entries
        self._clock = clock
        self._entries: OrderedDict[Key, tuple[float, asyncio.Task[Value]]] = OrderedDict()

    async def get(self, key: Key, load: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Return the cached result of a key, or load it."""
        expires, task = self._entries.get(key, (0.0, None))
        if task is None or self._clock() >= expires:
            task = asyncio.create_task(load())
            # Its waiters may have been cancelled before it fails.
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._entries[key] = self._clock() + self._seconds, task
            self._entries.move_to_end(key)
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
        # Others may wait for it, too.
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Cancel pending tasks."""
        tasks = [task for _, task in self._entries.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
