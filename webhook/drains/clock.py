"""The API server's clock, taken from its responses: deletion timestamps refer to it."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from httpx2 import Response

from certs.clock import wall_clock

SAME = datetime.timedelta(seconds=2)
"""Smaller differences are ignored: responses have whole seconds and take time."""
_HALF_A_SECOND = datetime.timedelta(seconds=0.5)


class ServerClock:
    """Measures from each response how far the API server's clock is ahead of the local one."""

    def __init__(self, local: Callable[[], datetime.datetime] = wall_clock) -> None:
        self._local = local
        self.ahead = datetime.timedelta()

    async def hear(self, response: Response) -> None:
        """Read the time of a response: https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1 ."""
        try:
            date = parsedate_to_datetime(response.headers["Date"])
        except (KeyError, ValueError, TypeError, OverflowError):
            return
        date = date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
        ahead = date + _HALF_A_SECOND - self._local()
        self.ahead = ahead if abs(ahead) > SAME else datetime.timedelta()

    def now(self) -> datetime.datetime:
        """Return the API server's time."""
        return self._local() + self.ahead
