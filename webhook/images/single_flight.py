"""Runs a lookup once for all that wait for it, and a limited number at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeAlias

from webhook.core.image_config import Image, Unavailable
from webhook.core.reasons import Reason
from webhook.images.concurrency import FairSemaphore

Result: TypeAlias = Image | Unavailable
Task: TypeAlias = asyncio.Task[Result]

MAX_RUNNING = 32
MAX_QUEUED = 1024
QUEUE_SECONDS = 30.0
"""Maximum time in the queue: the original waiters have given up by then."""
QUEUED = Unavailable(Reason.REGISTRY_QUEUE)


class SingleFlight:
    """Starts lookups, and lets several pods wait for the same one."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, Hashable], Task] = {}
        self._running: dict[Hashable, Task] = {}
        self._semaphore = FairSemaphore(MAX_RUNNING, MAX_QUEUED)

    def join(self, key: Hashable, namespace: str, host: str, look_up: Callable[[], Awaitable[Result]]) -> Task:
        """Return the lookup of a key, started if necessary; waiters must not cancel it.

        A queued lookup belongs to its namespace: other namespaces do not wait for it.
        """
        task = self._running.get(key) or self._tasks.get((namespace, key))
        if task is None:
            task = asyncio.create_task(self._queue(key, namespace, host, look_up))
            self._tasks[namespace, key] = task
            task.add_done_callback(lambda _: self._tasks.pop((namespace, key), None))
        return task

    def is_queued(self, task: Task) -> bool:
        """Tell whether a lookup is queued, so that its registry has not been contacted."""
        return not task.done() and task not in self._running.values()

    async def _queue(
        self, key: Hashable, namespace: str, host: str, look_up: Callable[[], Awaitable[Result]]
    ) -> Result:
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await self._semaphore.acquire(namespace, host)
        except (asyncio.QueueFull, TimeoutError):
            return QUEUED
        try:
            # Another namespace may have started it meanwhile.
            running = self._running.get(key)
            if running is None:
                self._running[key] = self._tasks[namespace, key]
                try:
                    return await look_up()
                finally:
                    del self._running[key]
        finally:
            self._semaphore.release(namespace, host)
        return await asyncio.shield(running)

    async def aclose(self) -> None:
        """Cancel pending lookups."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
