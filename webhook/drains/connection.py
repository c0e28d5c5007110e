"""Whether the API server is heard: while it is not, what is shown of drains is old."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from http import HTTPStatus

import msgspec

from certs.api_server import Refused
from certs.errors import ExpectedError
from webhook.drains.following import Contact, explained
from webhook.drains.pod_stream import BEGIN_SECONDS, SILENT_SECONDS
from webhook.inspection.connection import CannotAsk

REFUSALS = 6
"""Consecutive refusals before one is considered permanent."""
SILENCE = SILENT_SECONDS + BEGIN_SECONDS
"""Seconds of silence after which the connection counts as lost: by then, a new watch has begun or failed."""
_NO_RIGHT = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class Outage(msgspec.Struct, frozen=True):
    """The API server does not respond: for how many seconds, and why, as far as that is known."""

    seconds: float
    reason: str


class SessionContact(Contact):
    """Ends the session if the cluster cannot be read at all: at the start, or for lack of a permission.

    An API server that has just started may not know all permissions yet.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock=clock)
        self._has_heard = False
        self._refusals = 0
        self._reason = ""

    def heard(self) -> None:
        """Note that the API server has said something."""
        super().heard()
        self._has_heard, self._refusals, self._reason = True, 0, ""

    def failed(self, trouble: ExpectedError, where: str) -> None:
        """Count a failure.

        Raises:
            CannotAsk: it is one that waiting does not mend.

        """
        self._reason = explained(trouble, where) if isinstance(trouble, Refused) else str(trouble)
        is_refused = isinstance(trouble, Refused) and trouble.status in _NO_RIGHT
        self._refusals = self._refusals + 1 if is_refused else 0
        if not self._has_heard or self._refusals > REFUSALS:
            raise CannotAsk(self._reason)

    @property
    def outage(self) -> Outage | None:
        """What is wrong with the connection; None where nothing is."""
        if self._reason:
            return Outage(self.silence, self._reason)
        return Outage(self.silence, "the API server sends nothing") if self.silence > SILENCE else None


def longest_of(contacts: Iterable[SessionContact]) -> Outage | None:
    """Return the longest outage: of several namespaces, one may be heard and another one not."""
    outages = [contact.outage for contact in contacts]
    return max((outage for outage in outages if outage), key=lambda outage: outage.seconds, default=None)
