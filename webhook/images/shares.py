"""Limits on operations that may hang: no namespace or host can use up all slots."""

from __future__ import annotations

import asyncio
from collections import Counter


class Shares:
    """Counts slots by the requesting namespace and the requested host.

    Neither may hold more slots than are free. Of the slots that a namespace could still take, a host gets at most half.
    So the first one that hangs leaves half of the slots, the second a quarter, and there is always one left for others.
    With 32 slots, a host that hangs holds 8 of one namespace, and 16 of all; a second one holds 4 of that namespace,
    and 8 of all.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._held: Counter[tuple[str | None, str | None]] = Counter()

    def take(self, namespace: str, host: str) -> bool:
        """Take a slot, if one is available; tell whether it was."""
        left = (self._free - self._held[namespace, None] + 1) // 2
        if self._held[None, host] >= self._free or self._held[namespace, host] >= left:
            return False
        self._free -= 1
        self._held.update(_parties(namespace, host))
        return True

    def give_back(self, namespace: str, host: str) -> None:
        """Give a place back."""
        self._free += 1
        self._held.subtract(_parties(namespace, host))
        for party in _parties(namespace, host):
            if not self._held[party]:
                del self._held[party]


def _parties(namespace: str, host: str) -> list[tuple[str | None, str | None]]:
    return [(namespace, None), (None, host), (namespace, host)]


class Full(Exception):
    """Too many are waiting for a slot."""


class Seats:
    """Slots that can be waited for; first come, first served among those within their share."""

    def __init__(self, most: int, most_waiting: int) -> None:
        self._shares = Shares(most)
        self._line = Shares(most_waiting)
        self._waiting: dict[asyncio.Future[None], tuple[str, str]] = {}

    async def take(self, namespace: str, host: str) -> None:
        """Wait for a slot.

        Raises:
            Full: too many are already waiting.

        """
        if self._shares.take(namespace, host):
            return
        if not self._line.take(namespace, host):
            raise Full
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = namespace, host
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(namespace, host)
            raise
        finally:
            self._waiting.pop(turn, None)
            self._line.give_back(namespace, host)

    def give_back(self, namespace: str, host: str) -> None:
        """Release a slot to the next waiter."""
        self._shares.give_back(namespace, host)
        for turn, parties in list(self._waiting.items()):
            if not turn.done() and self._shares.take(*parties):
                del self._waiting[turn]
                turn.set_result(None)
