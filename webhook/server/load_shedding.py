"""Limits memory under load: drops the connections that have been waiting longest for an incomplete request."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Protocol


class Connection(Protocol):
    """A connection, from the moment it is accepted."""

    @property
    def is_processing(self) -> bool:
        """Whether a complete request awaits its response, which takes only moments and depends on no client."""

    def shed(self) -> None:
        """Drop it immediately."""


class LoadShedder:
    """Keeps the number of connections, and the bytes held for them, below their limits.

    The connection that has waited longest is dropped first. API servers send requests often, so theirs is rarely that
    one. Connections without a request so far, and those that had a response, get half of the room each, so that neither
    group can displace the other.
    """

    def __init__(self, max_connections: int, max_bytes: int) -> None:
        self._max_connections = max_connections
        self._max_bytes = max_bytes
        self._new: dict[Connection, None] = {}
        self._served: dict[Connection, None] = {}
        self._held_bytes: dict[Connection, int] = {}
        self.held_bytes = 0
        """Bytes of pending requests and of unsent responses."""
        self.dropped = 0
        """The number of dropped connections."""

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self._new) + len(self._served)

    def opened(self, connection: Connection) -> None:
        """Count a connection; if there are too many, drop another one, or this one."""
        full = len(self) >= self._max_connections
        groups = (self._new, self._served) if 2 * len(self._new) >= self._max_connections else (self._served, self._new)
        has_room = not full or self._drop_first(chain(*groups))
        self._new[connection] = None
        if not has_room:
            self._drop(connection)

    def response_sent(self, connection: Connection) -> None:
        """Move a connection that got a response to the end of the queue."""
        if connection in self._new or connection in self._served:
            self._new.pop(connection, None)
            self._served.pop(connection, None)
            self._served[connection] = None

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._new.pop(connection, None)
        self._served.pop(connection, None)
        self.held_bytes -= self._held_bytes.pop(connection, 0)

    def hold(self, connection: Connection, size: int) -> None:
        """Update the bytes held for a connection; if there are too many, drop another connection, or this one."""
        if connection not in self._served and connection not in self._new:
            return
        self.held_bytes += size - self._held_bytes.get(connection, 0)
        if not size:
            self._held_bytes.pop(connection, None)
            return
        self._held_bytes[connection] = size
        while self.held_bytes > self._max_bytes and self._drop_first(self._held_bytes):
            continue

    def _drop_first(self, connections: Iterable[Connection]) -> bool:
        for connection in connections:
            if not connection.is_processing:
                self._drop(connection)
                return True
        return False

    def _drop(self, connection: Connection) -> None:
        self.closed(connection)
        self.dropped += 1
        connection.shed()
