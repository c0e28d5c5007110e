"""What is dropped where more is on its way than fits into the memory: what has waited the longest, unfinished."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Protocol


class Sheddable(Protocol):
    """A connection, from the moment when it is accepted."""

    @property
    def is_busy(self) -> bool:
        """Whether a whole request is here, and its answer not away: that takes us moments, and nobody else's."""

    def shed(self) -> None:
        """Drop it, at once."""


class LoadShedding:
    """Keeps connections, and the bytes that they have us hold, below their limits.

    The one goes first that has waited the longest: an API server asks at once, again and again, so it is never that one
    for long. Those that have not asked for anything yet, and those that have got an answer, have half of the room each,
    so that neither can keep the others out.
    """

    def __init__(self, most_connections: int, most_bytes: int) -> None:
        self._most_connections = most_connections
        self._most_bytes = most_bytes
        self._new: dict[Sheddable, None] = {}
        self._proven: dict[Sheddable, None] = {}
        self._held: dict[Sheddable, int] = {}
        self.held_bytes = 0
        """Bytes of requests that are not answered, and of answers that are not sent."""
        self.dropped = 0
        """Connections that were dropped so far."""

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self._new) + len(self._proven)

    def opened(self, connection: Sheddable) -> None:
        """Count a connection; where that is one too many, another one goes, or this one."""
        full = len(self) >= self._most_connections
        groups = (
            (self._new, self._proven) if 2 * len(self._new) >= self._most_connections else (self._proven, self._new)
        )
        has_room = not full or self._drop_one(chain(*groups))
        self._new[connection] = None
        if not has_room:
            self._drop(connection)

    def proved(self, connection: Sheddable) -> None:
        """Put a connection that got an answer behind all others."""
        known = connection in self._new or connection in self._proven
        self._new.pop(connection, None)
        self._proven.pop(connection, None)
        if known:
            self._proven[connection] = None

    def closed(self, connection: Sheddable) -> None:
        """Forget a connection."""
        self._new.pop(connection, None)
        self._proven.pop(connection, None)
        self.held_bytes -= self._held.pop(connection, 0)

    def hold(self, connection: Sheddable, size: int) -> None:
        """Count the bytes that are held for a connection now; where all are too many, another one goes, or this one."""
        if connection not in self._proven and connection not in self._new:
            return
        self.held_bytes += size - self._held.get(connection, 0)
        if not size:
            self._held.pop(connection, None)
            return
        self._held[connection] = size
        while self.held_bytes > self._most_bytes and self._drop_one(self._held):
            continue

    def _drop_one(self, connections: Iterable[Sheddable]) -> bool:
        for connection in connections:
            if not connection.is_busy:
                self._drop(connection)
                return True
        return False

    def _drop(self, connection: Sheddable) -> None:
        self.closed(connection)
        self.dropped += 1
        connection.shed()
