"""Retries a request once, if that may help and there is time."""

from __future__ import annotations

import asyncio

from webhook.images.errors import LookupFailed
from webhook.images.http import HttpClient, Request, Response

_DELAY = 0.2
_RETRY_SECONDS = 0.5
"""How long the retry may take."""
_RETRYABLE = frozenset({500, 502, 503, 504})
_WITH_RETRY_AFTER = frozenset({429, 503})


class RetryingClient:
    """Sends the requests of one lookup, which ends at a time of the event loop."""

    def __init__(self, client: HttpClient, deadline: float) -> None:
        self._client = client
        self._deadline = deadline
        self._has_retried = False

    async def send(self, request: Request) -> Response:
        """Send a request, and retry it if the response may be different.

        Raises:
            LookupFailed: see HttpClient.

        """
        try:
            response = await self._client.send(request)
        except LookupFailed as failed:
            delay = _DELAY if failed.retryable else None
            if delay is None or not self._may_retry(delay):
                raise
        else:
            delay = _retry_delay(response)
            if delay is None or not self._may_retry(delay):
                return response
        self._has_retried = True
        await asyncio.sleep(delay)
        return await self._client.send(request)

    def _may_retry(self, delay: float) -> bool:
        ends = asyncio.get_running_loop().time() + delay + _RETRY_SECONDS
        return not self._has_retried and ends < self._deadline


def _retry_delay(response: Response) -> float | None:
    retry_after = response.retry_after if response.status in _WITH_RETRY_AFTER else None
    if retry_after is not None:
        return max(retry_after, _DELAY)
    return _DELAY if response.status in _RETRYABLE else None
