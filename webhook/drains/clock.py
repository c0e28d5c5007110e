"""The API server's clock, taken from its responses: deletion timestamps refer to it."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from httpx2 import AsyncClient, Response

from certs.api_server import response_date
from certs.clock import wall_clock

MIN_OFFSET = datetime.timedelta(seconds=2)
"""Smaller differences are ignored: responses have whole seconds and take time."""
_HALF_A_SECOND = datetime.timedelta(seconds=0.5)


class ServerClock:
    """Measures from each response how far the API server's clock is ahead of the local one."""

    def __init__(self, local: Callable[[], datetime.datetime] = wall_clock) -> None:
        self._local = local
        self.offset = datetime.timedelta()

    async def update(self, response: Response) -> None:
        """Read the time of a response."""
        if date := response_date(response):
            offset = date + _HALF_A_SECOND - self._local()
            self.offset = offset if abs(offset) > MIN_OFFSET else datetime.timedelta()

    def now(self) -> datetime.datetime:
        """Return the API server's time."""
        return self._local() + self.offset


def track_server_clock(client: AsyncClient) -> ServerClock:
    """Return a clock that reads the time from all responses to a client."""
    clock = ServerClock()
    client.event_hooks = {"response": [clock.update]}
    return clock
