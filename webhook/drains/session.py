"""Follows the drains of a selection and shows them: once, continuously, or until they are over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Collection, Iterator, Mapping
from contextlib import aclosing
from typing import Protocol, TypeAlias

import msgspec
from httpx2 import AsyncClient

from webhook.core.pod import JsonObject
from webhook.drains.clock import ServerClock
from webhook.drains.connection import Outage, SessionContact, longest_of
from webhook.drains.following import Change, follow
from webhook.drains.picture import Picture
from webhook.drains.rollout import RESOURCES, rollout_for_drains
from webhook.drains.selection import Target
from webhook.drains.tally import Tally
from webhook.drains.tracker import Begun, Ended
from webhook.kubernetes.api_client import ApiClient
from webhook.kubernetes.errors import ClusterUnavailable, Forbidden
from webhook.kubernetes.requests import INJECTED, ApiRequest
from webhook.kubernetes.rollout import Stage

REDRAWN = 1.0
"""Seconds."""
POLLED = 2.0
"""Seconds between two reads of a rollout."""


class CannotWait(Exception):
    """There is nothing to wait for, or it will not happen; the message says why."""


class Display(Protocol):
    """The display of a session."""

    def tell(self, event: Begun | Ended) -> None:
        """Report that a drain begins or ends."""

    def connection(self, outage: Outage | None) -> None:
        """Take how the connection is, before each drawing; None where the API server is heard."""

    def draw(self, picture: Picture) -> None:
        """Show the current state, once a second."""

    def note(self, sentence: str) -> None:
        """Report anything else."""


class _Sight(msgspec.Struct, frozen=True):
    """A change in a namespace."""

    namespace: str
    change: Change


class _RolledOut(msgspec.Struct, frozen=True):
    """All observable rollouts are complete; the pods of each namespace, listed afterwards."""

    pods: Mapping[str, list[JsonObject]]
    permission_missing: tuple[str, ...] = ()


class _Tick(msgspec.Struct, frozen=True):
    """A second has passed."""


_Happening: TypeAlias = _Sight | _RolledOut | _Tick | Exception


def clock_of(client: AsyncClient) -> ServerClock:
    """Return a clock that reads the time from all responses to a client."""
    clock = ServerClock()
    client.event_hooks = {"response": [clock.hear]}
    return clock


class Session:
    """A selection in a cluster."""

    def __init__(self, client: AsyncClient, namespaces: Collection[str], targets: Collection[Target]) -> None:
        self._client = client
        self._namespaces = namespaces
        self._rollouts = [target for target in targets if target.kind in RESOURCES]
        self._contacts = {namespace: SessionContact() for namespace in namespaces}
        self.picture = Picture(namespaces, targets)

    async def look(self) -> Picture:
        """Read the current drains.

        Raises:
            ClusterUnavailable: the cluster cannot be read.

        """
        for namespace in self._namespaces:
            async with aclosing(self._follow(namespace)) as changes:
                list(self.picture.take(namespace, await anext(changes)))
        return self.picture

    async def attend(self, display: Display, tally: Tally | None = None) -> None:
        """Show drains that begin and end: forever, or with a tally until all are over.

        Raises:
            ClusterUnavailable: the cluster cannot be read.
            CannotWait: there is no such rollout, or it has stopped.

        """
        has_rolled_out = tally is None or not self._rollouts
        async with aclosing(self._happenings(rollouts=not has_rolled_out)) as happenings:
            async for happening in happenings:
                if isinstance(happening, Exception):
                    raise happening
                if isinstance(happening, _RolledOut):
                    has_rolled_out = True
                    for right in happening.permission_missing:
                        display.note(f"Permission missing: {right}. Waiting only for drains in progress.")
                for event in self._events(happening, tally):
                    if tally:
                        tally.add(event)
                    display.tell(event)
                if not self.picture.is_whole:
                    continue
                if isinstance(happening, _Tick):
                    display.connection(longest_of(self._contacts.values()))
                    display.draw(self.picture)
                if tally and has_rolled_out and self.picture.is_quiet:
                    return

    def _events(self, happening: _Happening, tally: Tally | None) -> Iterator[Begun | Ended]:
        match happening:
            case _Sight(namespace, change):
                yield from self.picture.take(namespace, change)
            case _RolledOut(pods):
                for namespace, listed in pods.items():
                    yield from self.picture.take_also(namespace, listed, tally.over if tally else ())

    async def _happenings(self, *, rollouts: bool) -> AsyncGenerator[_Happening]:
        queue: asyncio.Queue[_Happening] = asyncio.Queue(maxsize=1000)
        works = [self._see(namespace, queue) for namespace in self._namespaces]
        works += [_tick(queue), *([self._roll_out(queue)] if rollouts else [])]
        tasks = [asyncio.ensure_future(_guarded(work, queue)) for work in works]
        try:
            while True:
                yield await queue.get()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _follow(self, namespace: str) -> AsyncGenerator[Change, None]:
        return follow(self._client, INJECTED, namespace=namespace, contact=self._contacts[namespace])

    async def _see(self, namespace: str, queue: asyncio.Queue[_Happening]) -> None:
        async with aclosing(self._follow(namespace)) as changes:
            async for change in changes:
                await queue.put(_Sight(namespace, change))

    async def _roll_out(self, queue: asyncio.Queue[_Happening]) -> None:
        api = ApiClient(self._client)
        permission_missing = []
        for namespace in self._namespaces:
            for target in self._rollouts:
                try:
                    await _complete(api, namespace, target)
                except Forbidden as forbidden:
                    permission_missing.append(str(forbidden))
        # The watch may be behind the rollout's status.
        pods = {namespace: await _all_pods(api, namespace) for namespace in self._namespaces}
        await queue.put(_RolledOut(pods, tuple(permission_missing)))


async def _guarded(work: Awaitable[None], queue: asyncio.Queue[_Happening]) -> None:
    try:
        await work
    except Exception as error:  # raised again when the queue is read
        await queue.put(error)


async def _tick(queue: asyncio.Queue[_Happening]) -> None:
    while True:
        await queue.put(_Tick())
        await asyncio.sleep(REDRAWN)


async def _complete(api: ApiClient, namespace: str, target: Target) -> None:
    """Wait until a rollout is complete; the watch decides when there are too many errors."""
    question = ApiRequest(RESOURCES[target.kind], "apps", namespace, target.name)
    while True:
        try:
            workload = await api.get(question)
        except ClusterUnavailable:
            await asyncio.sleep(POLLED)
            continue
        if workload is None:
            raise CannotWait(f"{target} does not exist in namespace {namespace}")
        rollout = rollout_for_drains(target.kind, workload)
        if rollout.stage is Stage.COMPLETE:
            return
        if rollout.stage is Stage.STUCK:
            raise CannotWait(f"the rollout of {target} in namespace {namespace} has stopped: {rollout.message}")
        await asyncio.sleep(POLLED)


async def _all_pods(api: ApiClient, namespace: str) -> list[JsonObject]:
    while True:
        try:
            return await api.list(ApiRequest("pods", namespace=namespace, labels=INJECTED), dict)
        except ClusterUnavailable:
            await asyncio.sleep(POLLED)
