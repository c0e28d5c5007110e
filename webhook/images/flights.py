"""Lookups in progress: shared by all waiters, and limited per namespace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeAlias

from webhook.core.images import Image, Unavailable
from webhook.core.reasons import Reason
from webhook.images.shares import Full, Seats

Answer: TypeAlias = Image | Unavailable
Task: TypeAlias = asyncio.Task[Answer]

MOST = 32
MOST_WAITING = 1024
WAITING_SECONDS = 30.0
"""Maximum time in the queue: the original waiters have given up by then."""
QUEUED = Unavailable(Reason.REGISTRY_QUEUE)


class Flights:
    """Starts lookups, and lets several pods wait for the same one."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, Hashable], Task] = {}
        self._flying: dict[Hashable, Task] = {}
        self._seats = Seats(MOST, MOST_WAITING)

    def join(self, key: Hashable, namespace: str, host: str, look_up: Callable[[], Awaitable[Answer]]) -> Task:
        """Return the lookup of a key, started if necessary; waiters must not cancel it.

        A queued lookup belongs to its namespace: other namespaces do not wait for it.
        """
        task = self._flying.get(key) or self._tasks.get((namespace, key))
        if task is None:
            task = asyncio.create_task(self._fly(key, namespace, host, look_up))
            self._tasks[namespace, key] = task
            task.add_done_callback(lambda _: self._tasks.pop((namespace, key), None))
        return task

    def is_waiting(self, task: Task) -> bool:
        """Tell whether a lookup is queued, so that its registry has not been contacted."""
        return not task.done() and task not in self._flying.values()

    async def _fly(self, key: Hashable, namespace: str, host: str, look_up: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            async with asyncio.timeout(WAITING_SECONDS):
                await self._seats.take(namespace, host)
        except (Full, TimeoutError):
            return QUEUED
        try:
            # Another namespace may have started it meanwhile.
            flying = self._flying.get(key)
            if flying is None:
                return await self._seated(key, look_up)
        finally:
            self._seats.give_back(namespace, host)
        return await asyncio.shield(flying)

    async def _seated(self, key: Hashable, look_up: Callable[[], Awaitable[Answer]]) -> Answer:
        task: Task | None = asyncio.current_task()
        if task:
            self._flying[key] = task
        try:
            return await look_up()
        finally:
            self._flying.pop(key, None)

    async def aclose(self) -> None:
        """Cancel pending lookups."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
