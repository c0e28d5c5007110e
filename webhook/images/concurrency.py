"""Fair limits on operations that may hang: no namespace or host can use up all slots."""

from __future__ import annotations

import asyncio
from collections import Counter


class FairLimit:
    """Counts slots by the requesting namespace and the requested host.

    Neither may hold more slots than are free. Of the slots that a namespace could still take, a host gets at most half.
    So the first one that hangs leaves half of the slots, the second a quarter, and there is always one left for others.
    With 32 slots, a host that hangs holds 8 of one namespace, and 16 of all; a second one holds 4 of that namespace,
    and 8 of all.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._held: Counter[tuple[str | None, str | None]] = Counter()

    def try_acquire(self, namespace: str, host: str) -> bool:
        """Take a slot, if one is available; tell whether it was."""
        left = (self._free - self._held[namespace, None] + 1) // 2
        if self._held[None, host] >= self._free or self._held[namespace, host] >= left:
            return False
        self._free -= 1
        self._held.update(_holders(namespace, host))
        return True

    def release(self, namespace: str, host: str) -> None:
        """Return a slot."""
        self._free += 1
        for holder in _holders(namespace, host):
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]


def _holders(namespace: str, host: str) -> list[tuple[str | None, str | None]]:
    return [(namespace, None), (None, host), (namespace, host)]


class FairSemaphore:
    """Slots that can be waited for; first come, first served among those within their share."""

    def __init__(self, slots: int, queue_size: int) -> None:
        self._limit = FairLimit(slots)
        self._queue_limit = FairLimit(queue_size)
        self._waiters: dict[asyncio.Future[None], tuple[str, str]] = {}

    async def acquire(self, namespace: str, host: str) -> None:
        """Wait for a slot.

        Raises:
            QueueFull: too many are already waiting.

        """
        if self._limit.try_acquire(namespace, host):
            return
        if not self._queue_limit.try_acquire(namespace, host):
            raise asyncio.QueueFull
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = namespace, host
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release(namespace, host)
            raise
        finally:
            self._waiters.pop(waiter, None)
            self._queue_limit.release(namespace, host)

    def release(self, namespace: str, host: str) -> None:
        """Pass a slot on to the next waiter."""
        self._limit.release(namespace, host)
        for waiter, holder in list(self._waiters.items()):
            if not waiter.done() and self._limit.try_acquire(*holder):
                del self._waiters[waiter]
                waiter.set_result(None)
