"""Writes Events; failures and delays affect nothing else."""

from __future__ import annotations

import asyncio
import datetime
import math
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus

from certs.api_server import ApiServer
from certs.errors import ApiServerUnavailable, ExpectedError, StatusError, describe_error
from certs.retry import Backoff
from webhook.core.pod import JsonObject
from webhook.drains.health import ErrorLog
from webhook.watch.event_aggregator import AggregatedEvent, EventAggregator

COMPONENT = "graceful-worker-watch"
POLL_SECONDS = 1.0
MIN_INTERVAL = 0.05
"""Seconds between two Events, to spare the API server."""
MAX_QUEUED = 1000
STALE_SECONDS = 600.0
"""Time after which a pending Event is dropped."""
_RETRIABLE = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.UNAUTHORIZED)
_MAX_MESSAGE = 1024
_MAX_NAME = 200


def event_object(aggregated: AggregatedEvent, at: datetime.datetime) -> JsonObject:
    """Return the Event for a message.

    `kubectl events --for` finds it by the owner's kind and name. `kubectl describe` also needs the UID, which pods of a
    Deployment do not contain.
    """
    pod_event = aggregated.pod_event
    owner = pod_event.owner
    time_stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    owner_uid = {"uid": pod_event.owner_uid} if pod_event.owner_uid else {}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": pod_event.namespace, "generateName": f"{owner.name[:_MAX_NAME].rstrip('-.')}."},
        "involvedObject": {
            "apiVersion": owner.api_version,
            "kind": owner.kind,
            "namespace": pod_event.namespace,
            "name": owner.name,
            **owner_uid,
        },
        "related": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": pod_event.namespace,
            "name": pod_event.pod,
            "uid": pod_event.pod_uid,
        },
        "type": "Warning",
        "reason": pod_event.reason,
        "message": aggregated.message[:_MAX_MESSAGE],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": time_stamp,
        "lastTimestamp": time_stamp,
        "count": aggregated.count,
    }


class EventWriter:
    """Writes due Events one after the other, and retries while the API server is unavailable."""

    def __init__(
        self,
        api_server: ApiServer,
        aggregator: EventAggregator,
        now: Callable[[], datetime.datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api_server = api_server
        self._aggregator = aggregator
        self._now = now
        self._clock = clock
        self._queue: deque[tuple[float, JsonObject]] = deque(maxlen=MAX_QUEUED)
        self._backoff = Backoff()
        self._errors = ErrorLog(clock)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            self.enqueue(self._aggregator.due(self._clock()))
            await asyncio.sleep(POLL_SECONDS if await self.write() else self._backoff.next())

    async def finish(self) -> None:
        """Write the remaining Events, even if they are not due yet."""
        self.enqueue(self._aggregator.due(math.inf))
        await self.write()

    def enqueue(self, due: list[AggregatedEvent]) -> None:
        """Queue due Events."""
        for aggregated in due:
            if len(self._queue) == MAX_QUEUED:
                self._aggregator.results["dropped"] += 1
            self._queue.append((self._clock(), event_object(aggregated, self._now())))

    async def write(self) -> bool:
        """Write the queue; return False if the API server should be left alone for a while."""
        while self._queue:
            since, event = self._queue[0]
            try:
                path = f"api/v1/namespaces/{event['metadata']['namespace']}/events"
                await self._api_server.request("POST", path, "Event", event)
                self._aggregator.results["written"] += 1
                self._backoff.reset()
            except (ApiServerUnavailable, StatusError) as error:
                self._log(error)
                if _is_retriable(error) and self._clock() < since + STALE_SECONDS:
                    return False
                self._aggregator.results["failed"] += 1
            self._queue.popleft()
            await asyncio.sleep(MIN_INTERVAL)
        return True

    def _log(self, error: ExpectedError) -> None:
        reason = "cannot write an Event"
        if isinstance(error, StatusError) and error.status == HTTPStatus.FORBIDDEN:
            reason = "an Event was rejected; permission needed: create events"
        self._errors.log(f"{reason}: {describe_error(error)}")


def _is_retriable(error: ExpectedError) -> bool:
    if isinstance(error, StatusError):
        return error.status in _RETRIABLE or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return True
