"""Look-ups under way: one for all who want the same, not too many at once, and none that lasts for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeAlias
from weakref import WeakValueDictionary

from webhook.core.images import Image, Unavailable

Answer: TypeAlias = Image | Unavailable

MOST_SECONDS = 30.0
"""How long a look-up may take once those who wanted it have given up: the next ones find the answer."""
MOST = 32
MOST_TO_ONE = 16
"""So that a registry that hangs keeps nobody from asking the others."""


class Flights:
    """Starts look-ups, and lets others wait for them."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[Answer]] = {}
        self._seats = asyncio.Semaphore(MOST)
        self._seats_to_one: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def join(self, key: Hashable, host: str, look_up: Callable[[], Awaitable[Answer]], late: Unavailable) -> _Task:
        """Return the look-up of a key, started if it is not under way; whoever waits for it must not cancel it.

        `late` is its answer where it takes too long.
        """
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(self._fly(host, look_up, late))
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key, None))
        return task

    async def _fly(self, host: str, look_up: Callable[[], Awaitable[Answer]], late: Unavailable) -> Answer:
        to_one = self._seats_to_one.setdefault(host, asyncio.Semaphore(MOST_TO_ONE))
        try:
            async with asyncio.timeout(MOST_SECONDS), to_one, self._seats:
                return await look_up()
        except TimeoutError:
            return late

    async def aclose(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


_Task: TypeAlias = asyncio.Task[Answer]
