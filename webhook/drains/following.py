"""Follows pods by list and watch, whatever the API server does meanwhile."""

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
from certs.repetition import FIRST_PAUSE, LOGGER, LONGEST_PAUSE, Trouble, told
from webhook.core.pod import JsonObject
from webhook.drains.pod_stream import Expired, Kind, PodStream

BREATH = 0.2
"""Seconds between two watches, at least."""
SHORT = 10.0
"""Seconds: a watch that ends sooner, and has told nothing, counts as one that failed."""
REPEATED_SECONDS = 600.0
"""After which the log says the same once more."""


class Listed(msgspec.Struct, frozen=True):
    """All pods that there are, after the start and after each gap."""

    pods: list[JsonObject]


class Seen(msgspec.Struct, frozen=True):
    """A pod as it is now."""

    pod: JsonObject


class Gone(msgspec.Struct, frozen=True):
    """The last state of a pod whose object goes."""

    pod: JsonObject


Change: TypeAlias = Listed | Seen | Gone


class Contact:
    """When the API server was last heard, and how often it was not understood; the log has each trouble once."""

    def __init__(self, what: str = "pods", clock: Callable[[], float] = time.monotonic) -> None:
        """Begin as if it was heard just now; `what` is followed."""
        self._what = what
        self._clock = clock
        self._heard = clock()
        self._told: tuple[str, float] = ("", 0.0)
        self.failures = 0

    @property
    def silence(self) -> float:
        """Seconds since anything was heard."""
        return self._clock() - self._heard

    def heard(self) -> None:
        """Note that the API server has said something."""
        self._heard = self._clock()

    def failed(self, trouble: Trouble, where: str) -> None:
        """Count a failure, and say what it takes to end it."""
        self.failures += 1
        if isinstance(trouble, Refused):
            self.heard()
        words = f"{self._what} cannot be followed: {explained(trouble, where)}"
        before, at = self._told
        if words != before or self._clock() >= at + REPEATED_SECONDS:
            self._told = words, self._clock()
            logging.getLogger(LOGGER).error("%s", words)


class Backoff:
    """How long to wait after a failure: twice as long each time, and never exactly as long as others do."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE

    def reset(self) -> None:
        """Begin with the shortest pause again."""
        self._pause = FIRST_PAUSE

    def next(self) -> float:
        """Return the next pause, in seconds."""
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
        return pause * random.uniform(0.75, 1.25)  # noqa: S311 - no secret


async def follow(
    api_client: AsyncClient,
    label_selector: str,
    field_selector: str = "",
    namespace: str = "",
    contact: Contact | None = None,
) -> AsyncGenerator[Change, None]:
    """Tell all pods that there are, then what becomes of them, until it is closed.

    Nothing ends it: after a failure it goes on where it was, or lists all pods anew where the API server does not know
    that any more. A missing right is said in the log, and waited for. Of a pod that lives, little is kept: see
    `kept_fields`.
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
        except Trouble as trouble:
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
            # All pages are of the version that the first one tells.
            version = version or listed
            pods += page
    return pods, version


def explained(trouble: Trouble, where: str) -> str:
    """Say what is wrong, and which right is missing where that is it."""
    if not isinstance(trouble, Refused):
        return told(trouble)
    if trouble.status == HTTPStatus.FORBIDDEN:
        return f"the right to list and watch pods {where} is missing: {told(trouble)}"
    if trouble.status == HTTPStatus.UNAUTHORIZED:
        return f"the API server does not know who asks; the credentials are missing, wrong or expired: {told(trouble)}"
    return told(trouble)
