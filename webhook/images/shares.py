"""Places for what may hang: nobody takes so many that others get none."""

from __future__ import annotations

import asyncio
from collections import Counter


class Shares:
    """Counts places by the namespace that asks, and by the host that is asked.

    Neither may hold more than are free, and of what a namespace could still take, a host that it asks gets half at
    most. So whoever hangs is left with a half, the next one with a quarter, and there is always one more to take for
    somebody else: with 32 places, a host that hangs holds 8 of one namespace, and 16 of all; a second one holds 4 of
    that namespace, and 8 of all.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._held: Counter[tuple[str | None, str | None]] = Counter()

    def take(self, namespace: str, host: str) -> bool:
        """Take a place, if there is one for these; tell whether there was."""
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
    """Too many wait for a place already."""


class Seats:
    """Places for which one can wait; who has come first goes first, of those whose share is not used up."""

    def __init__(self, most: int, most_waiting: int) -> None:
        self._shares = Shares(most)
        self._line = Shares(most_waiting)
        self._waiting: dict[asyncio.Future[None], tuple[str, str]] = {}

    async def take(self, namespace: str, host: str) -> None:
        """Wait for a place.

        Raises:
            Full: too many wait already.

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
        """Give a place back, to whoever is next."""
        self._shares.give_back(namespace, host)
        for turn, parties in list(self._waiting.items()):
            if not turn.done() and self._shares.take(*parties):
                del self._waiting[turn]
                turn.set_result(None)
