"""Retries a request once, if that may help and there is time."""

from __future__ import annotations

import asyncio
import email.utils
import time
from http import HTTPStatus

from webhook.images.errors import LookupFailed
from webhook.images.transfers import Answer, Question, Transfers

_PAUSE = 0.2
_MARGIN = 0.5
"""Seconds that the retry may take."""
_PASSING = frozenset({500, 502, 503, 504})
_BUSY = frozenset({429, 503})


class Patience:
    """Sends the requests of one lookup, which ends at a time of the event loop."""

    def __init__(self, transfers: Transfers, until: float) -> None:
        self._transfers = transfers
        self._until = until
        self._is_fresh = True

    async def ask(self, question: Question) -> Answer:
        """Send a request, and retry it if the response may be different.

        Raises:
            LookupFailed: see Transfers.

        """
        try:
            answer = await self._transfers.ask(question)
        except LookupFailed as failed:
            pause = _PAUSE if failed.retryable else None
            if pause is None or not self._allows(pause):
                raise
        else:
            pause = _pause(answer)
            if pause is None or not self._allows(pause):
                return answer
        self._is_fresh = False
        await asyncio.sleep(pause)
        return await self._transfers.ask(question)

    def _allows(self, pause: float) -> bool:
        return self._is_fresh and asyncio.get_running_loop().time() + pause + _MARGIN < self._until


def _pause(answer: Answer) -> float | None:
    wanted = retry_after(answer) if answer.status in _BUSY else None
    if wanted is not None:
        return max(wanted, _PAUSE)
    return _PAUSE if answer.status in _PASSING else None


def retry_after(answer: Answer) -> float | None:
    """Return a response's Retry-After in seconds; None if there is none.

    https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    """
    text = answer.first("retry-after").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def is_busy(answer: Answer) -> bool:
    """Tell whether a registry reports too many requests."""
    return answer.status == HTTPStatus.TOO_MANY_REQUESTS
