"""Lists and watches pods, despite all errors of the API server, like client-go's Reflector."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import TypeAlias

import msgspec
from httpx2 import AsyncClient

from certs.errors import ExpectedError, StatusError
from certs.retry import Backoff
from webhook.core.pod import JsonObject
from webhook.drains.health import WatchHealth
from webhook.drains.list_watch import PodListWatch

MIN_WATCH_INTERVAL = 0.2
"""Seconds between two watches."""
SHORT_WATCH = 10.0
"""Seconds: a watch that ends sooner without an event counts as failed."""


class PodsListed(msgspec.Struct, frozen=True):
    """All existing pods, after the start and after each gap."""

    pods: list[JsonObject]


class PodUpdated(msgspec.Struct, frozen=True):
    """The current state of a pod."""

    pod: JsonObject


class PodDeleted(msgspec.Struct, frozen=True):
    """The last state of a deleted pod."""

    pod: JsonObject


PodChange: TypeAlias = PodsListed | PodUpdated | PodDeleted


async def list_and_watch(
    client: AsyncClient,
    label_selector: str,
    field_selector: str = "",
    namespace: str = "",
    health: WatchHealth | None = None,
) -> AsyncGenerator[PodChange, None]:
    """Yield all existing pods, then their changes, until closed.

    It never ends by itself: after a failure, it continues where it was, or lists all pods again if the API server no
    longer knows that resource version. A missing permission is logged, and awaited. Of a pod that is not terminating,
    only a few fields are kept: see `pod_fields`.
    """
    health = health or WatchHealth()
    selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
    list_watch = PodListWatch(client, selectors, namespace, health.record_response)
    scope = f"in namespace {namespace}" if namespace else "in all namespaces"
    backoff = Backoff()
    version = ""
    while True:
        pause = MIN_WATCH_INTERVAL
        started, has_events = time.monotonic(), False
        try:
            if not version:
                pods, version = await _list(list_watch)
                yield PodsListed(pods)
                del pods
            async with aclosing(list_watch.watch(version)) as events:
                async for event in events:
                    has_events = True
                    version = event.resource_version or version
                    if event.pod is not None:
                        yield PodDeleted(event.pod) if event.type == "DELETED" else PodUpdated(event.pod)
        except ExpectedError as error:
            if isinstance(error, StatusError) and error.status == HTTPStatus.GONE:
                version = ""
            else:
                health.record_failure(error, scope)
            pause = backoff.next()
        else:
            if time.monotonic() - started < SHORT_WATCH and not has_events:
                pause = backoff.next()
        if has_events:
            backoff.reset()
        await asyncio.sleep(pause)


async def _list(list_watch: PodListWatch) -> tuple[list[JsonObject], str]:
    async with aclosing(list_watch.list_pages()) as pages:
        listed = [page async for page in pages]
    # All pages have the version of the first one.
    return [pod for pods, _ in listed for pod in pods], listed[0][1]
