"""Follows pods by list and watch, despite all errors of the API server."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import TypeAlias

import msgspec
from httpx2 import AsyncClient

from certs.api_server import Refused
from certs.errors import ExpectedError, describe_error
from certs.retry import INITIAL_BACKOFF, LOGGER, MAX_BACKOFF
from webhook.core.pod import JsonObject
from webhook.drains.pod_stream import Expired, Kind, PodStream

BREATH = 0.2
"""Minimum seconds between two watches."""
SHORT = 10.0
"""Seconds: a watch that ends sooner without an event counts as failed."""
REPEATED_SECONDS = 600.0
"""Seconds after which the same error is logged again."""


class Listed(msgspec.Struct, frozen=True):
    """All existing pods, after the start and after each gap."""

    pods: list[JsonObject]


class Seen(msgspec.Struct, frozen=True):
    """The current state of a pod."""

    pod: JsonObject


class Gone(msgspec.Struct, frozen=True):
    """The last state of a deleted pod."""

    pod: JsonObject


Change: TypeAlias = Listed | Seen | Gone


class Contact:
    """When the API server last responded, and the number of failures; each error is logged once."""

    def __init__(self, what: str = "pods", clock: Callable[[], float] = time.monotonic) -> None:
        """Start as if it had just responded; `what` is being followed."""
        self._what = what
        self._clock = clock
        self._heard = clock()
        self._told: tuple[str, float] = ("", 0.0)
        self.failures = 0

    @property
    def silence(self) -> float:
        """Seconds since the last response."""
        return self._clock() - self._heard

    def heard(self) -> None:
        """Note a response of the API server."""
        self._heard = self._clock()

    def failed(self, trouble: ExpectedError, where: str) -> None:
        """Count a failure, and log how to fix it."""
        self.failures += 1
        if isinstance(trouble, Refused):
            self.heard()
        words = f"cannot watch {self._what}: {explained(trouble, where)}"
        before, at = self._told
        if words != before or self._clock() >= at + REPEATED_SECONDS:
            self._told = words, self._clock()
            logging.getLogger(LOGGER).error("%s", words)


class Backoff:
    """The pause after a failure: it doubles each time, with jitter."""

    def __init__(self) -> None:
        self._pause = INITIAL_BACKOFF

    def reset(self) -> None:
        """Return to the shortest pause."""
        self._pause = INITIAL_BACKOFF

    def next(self) -> float:
        """Return the next pause, in seconds."""
        pause, self._pause = self._pause, min(2 * self._pause, MAX_BACKOFF)
        return pause * random.uniform(0.75, 1.25)  # noqa: S311 - no secret


async def follow(
    api_client: AsyncClient,
    label_selector: str,
    field_selector: str = "",
    namespace: str = "",
    contact: Contact | None = None,
) -> AsyncGenerator[Change, None]:
    """Yield all existing pods, then their changes, until closed.

    It never ends by itself: after a failure, it continues where it was, or lists all pods again if the API server no
    longer knows that version. A missing permission is logged, and awaited. Of a pod that is not terminating, only a few
    fields are kept: see `kept_fields`.
    """
    contact = contact or Contact()
    selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
    stream = PodStream(api_client, selectors, namespace, contact.heard)
    where = f"in namespace {namespace}" if namespace else "in all namespaces"
    backoff = Backoff()
    version = ""
    while True:
        pause = BREATH
        begun, has_told = time.monotonic(), False
        try:
            if not version:
                listed, version = await _list(stream)
                yield Listed(listed)
                del listed
            async with aclosing(stream.lines(version)) as lines:
                async for line in lines:
                    has_told = True
                    version = line.version or version
                    if line.pod is not None:
                        yield Gone(line.pod) if line.kind is Kind.DELETED else Seen(line.pod)
        except Expired:
            version = ""
            pause = backoff.next()
        except ExpectedError as trouble:
            contact.failed(trouble, where)
            pause = backoff.next()
        else:
            if time.monotonic() - begun < SHORT and not has_told:
                pause = backoff.next()
        if has_told:
            backoff.reset()
        await asyncio.sleep(pause)


async def _list(stream: PodStream) -> tuple[list[JsonObject], str]:
    pods: list[JsonObject] = []
    version = ""
    async with aclosing(stream.pages()) as pages:
        async for page, listed in pages:
            # All pages have the version of the first one.
            version = version or listed
            pods += page
    return pods, version


def explained(trouble: ExpectedError, where: str) -> str:
    """Describe an error, with the missing permission if that is the cause."""
    if not isinstance(trouble, Refused):
        return describe_error(trouble)
    if trouble.status == HTTPStatus.FORBIDDEN:
        return f"permission missing to list and watch pods {where}: {describe_error(trouble)}"
    if trouble.status == HTTPStatus.UNAUTHORIZED:
        return f"the API server rejects the credentials, which are missing, wrong or expired: {describe_error(trouble)}"
    return describe_error(trouble)
