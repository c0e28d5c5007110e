"""Whether the API server responds: while it does not, what is known of drains is out of date."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus

import msgspec

from certs.errors import ExpectedError, StatusError, describe_error
from certs.retry import LOGGER
from webhook.drains.list_watch import SILENT_SECONDS, START_SECONDS
from webhook.kubernetes.errors import ClusterUnavailable

LOG_AGAIN_SECONDS = 600.0
"""Seconds after which the same error is logged again."""
MAX_DENIALS = 6
"""Consecutive denials before one is considered permanent."""
MAX_SILENCE = SILENT_SECONDS + START_SECONDS
"""Seconds of silence after which the connection counts as lost: by then, a new watch has started or failed."""
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class ErrorLog:
    """Logs an error once, and again only when it changes or lasts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: tuple[str, float] = ("", 0.0)

    def log(self, message: str) -> None:
        """Log an error, unless it was logged recently."""
        last, at = self._last
        if message != last or self._clock() >= at + LOG_AGAIN_SECONDS:
            self._last = message, self._clock()
            logging.getLogger(LOGGER).error("%s", message)


class WatchHealth:
    """When the API server last responded, and the number of failures; each error is logged once."""

    def __init__(self, resource: str = "pods", clock: Callable[[], float] = time.monotonic) -> None:
        """Start as if it had just responded; `resource` is what is watched."""
        self._resource = resource
        self._clock = clock
        self._last_response = clock()
        self._errors = ErrorLog(clock)
        self.failures = 0

    @property
    def silence(self) -> float:
        """Seconds since the last response."""
        return self._clock() - self._last_response

    def record_response(self) -> None:
        """Record a response of the API server."""
        self._last_response = self._clock()

    def record_failure(self, error: ExpectedError, scope: str) -> None:
        """Count a failure, and log how to fix it."""
        self.failures += 1
        if isinstance(error, StatusError):
            self.record_response()
        self._errors.log(f"cannot watch {self._resource}: {explain_watch_error(error, scope)}")


class Outage(msgspec.Struct, frozen=True):
    """The API server does not respond: for how many seconds, and why, as far as that is known."""

    seconds: float
    reason: str


class SessionHealth(WatchHealth):
    """Ends the session if the cluster cannot be read at all: at the start, or for lack of a permission.

    An API server that has just started may not know all permissions yet.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock=clock)
        self._has_responded = False
        self._denials = 0
        self._reason = ""

    def record_response(self) -> None:
        """Record a response of the API server."""
        super().record_response()
        self._has_responded, self._denials, self._reason = True, 0, ""

    def record_failure(self, error: ExpectedError, scope: str) -> None:
        """Count a failure.

        Raises:
            ClusterUnavailable: a retry does not help.

        """
        self._reason = explain_watch_error(error, scope) if isinstance(error, StatusError) else str(error)
        is_denied = isinstance(error, StatusError) and error.status in _DENIED
        self._denials = self._denials + 1 if is_denied else 0
        if not self._has_responded or self._denials > MAX_DENIALS:
            raise ClusterUnavailable(self._reason)

    @property
    def outage(self) -> Outage | None:
        """The current outage; None while the API server responds."""
        if self._reason:
            return Outage(self.silence, self._reason)
        return Outage(self.silence, "the API server sends nothing") if self.silence > MAX_SILENCE else None


def longest_outage(watches: Iterable[SessionHealth]) -> Outage | None:
    """Return the longest outage of several watches."""
    outages = [watch.outage for watch in watches]
    return max((outage for outage in outages if outage), key=lambda outage: outage.seconds, default=None)


def explain_watch_error(error: ExpectedError, scope: str) -> str:
    """Describe an error, with the missing permission if that is the cause."""
    if isinstance(error, StatusError) and error.status == HTTPStatus.FORBIDDEN:
        return f"permission missing to list and watch pods {scope}: {describe_error(error)}"
    if isinstance(error, StatusError) and error.status == HTTPStatus.UNAUTHORIZED:
        return f"the API server rejects the credentials, which are missing, wrong or expired: {describe_error(error)}"
    return describe_error(error)
