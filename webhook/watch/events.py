"""Writes Events; failures and delays affect nothing else."""

from __future__ import annotations

import asyncio
import datetime
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus

from certs.api_server import ApiServer, NoAnswer, Refused
from certs.errors import ExpectedError, describe_error
from certs.retry import LOGGER
from webhook.core.pod import JsonObject
from webhook.drains.following import REPEATED_SECONDS, Backoff
from webhook.watch.notices import Gathered, Notices

COMPONENT = "graceful-worker-watch"
LOOK_SECONDS = 1.0
BREATH = 0.05
"""Minimum time between two Events, to spare the API server."""
MOST_WAITING = 1000
STALE_SECONDS = 600.0
"""Time after which a pending Event is dropped."""
_AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.UNAUTHORIZED)
_LONGEST_MESSAGE = 1024
_LONGEST_NAME = 200


def event_of(gathered: Gathered, at: datetime.datetime) -> JsonObject:
    """Return the Event for a message.

    `kubectl events --for` finds it by the owner's kind and name. `kubectl describe` also needs the UID, which pods of a
    Deployment do not contain.
    """
    notice = gathered.notice
    owner = notice.owner
    time_stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    name = owner.name[:_LONGEST_NAME].rstrip("-.")
    regarding = {"apiVersion": owner.api_version, "kind": owner.kind, "namespace": notice.namespace, "name": owner.name}
    pod = {"apiVersion": "v1", "kind": "Pod", "namespace": notice.namespace, "name": notice.pod, "uid": notice.pod_uid}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": notice.namespace, "generateName": f"{name}."},
        "involvedObject": regarding | ({"uid": notice.owner_uid} if notice.owner_uid else {}),
        "related": pod,
        "type": "Warning",
        "reason": notice.reason,
        "message": gathered.message[:_LONGEST_MESSAGE],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": time_stamp,
        "lastTimestamp": time_stamp,
        "count": gathered.count,
    }


class EventWriter:
    """Writes due Events one after the other, and retries while the API server is unavailable."""

    def __init__(
        self,
        api_server: ApiServer,
        notices: Notices,
        now: Callable[[], datetime.datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api_server = api_server
        self._notices = notices
        self._now = now
        self._clock = clock
        self._waiting: deque[tuple[float, JsonObject]] = deque(maxlen=MOST_WAITING)
        self._backoff = Backoff()
        self._said: tuple[str, float] = ("", 0.0)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            self.take(self._notices.due(self._clock()))
            await asyncio.sleep(LOOK_SECONDS if await self.write() else self._backoff.next())

    async def finish(self) -> None:
        """Write the remaining Events, even if they are not due yet."""
        self.take(self._notices.due(math.inf))
        await self.write()

    def take(self, due: list[Gathered]) -> None:
        """Queue due Events."""
        for gathered in due:
            if len(self._waiting) == MOST_WAITING:
                self._notices.results["dropped"] += 1
            self._waiting.append((self._clock(), event_of(gathered, self._now())))

    async def write(self) -> bool:
        """Write the queue; return False if the API server should be left alone for a while."""
        while self._waiting:
            since, event = self._waiting[0]
            try:
                await self._create(event)
                self._notices.results["written"] += 1
                self._backoff.reset()
            except (NoAnswer, Refused) as trouble:
                self._say(trouble)
                if _may_do_later(trouble) and self._clock() < since + STALE_SECONDS:
                    return False
                self._notices.results["failed"] += 1
            self._waiting.popleft()
            await asyncio.sleep(BREATH)
        return True

    async def _create(self, event: JsonObject) -> None:
        namespace = event["metadata"]["namespace"]
        await self._api_server.ask("POST", f"api/v1/namespaces/{namespace}/events", "Event", event)

    def _say(self, trouble: ExpectedError) -> None:
        words = f"cannot write an Event: {describe_error(trouble)}"
        if isinstance(trouble, Refused) and trouble.status == HTTPStatus.FORBIDDEN:
            words = f"an Event was rejected; permission needed: create events: {describe_error(trouble)}"
        before, at = self._said
        if words != before or self._clock() >= at + REPEATED_SECONDS:
            self._said = words, self._clock()
            logging.getLogger(LOGGER).error("%s", words)


def _may_do_later(trouble: ExpectedError) -> bool:
    if isinstance(trouble, Refused):
        return trouble.status in _AGAIN or trouble.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return True
