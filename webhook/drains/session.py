"""Lists or watches the drains of a selection: once, continuously, or until they are over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Collection, Iterator, Mapping
from contextlib import aclosing, suppress
from typing import Protocol, TypeAlias

import msgspec
from httpx2 import AsyncClient

from webhook.core.pod import JsonObject
from webhook.drains.errors import WaitFailed
from webhook.drains.health import Outage, SessionHealth, longest_outage
from webhook.drains.reflector import PodChange, list_and_watch
from webhook.drains.rollout import RESOURCES, rollout_for_drains
from webhook.drains.selected_drains import SelectedDrains
from webhook.drains.summary import DrainSummary
from webhook.drains.targets import Target
from webhook.drains.tracker import DrainEvent
from webhook.kubernetes.api_client import ApiClient
from webhook.kubernetes.errors import ClusterUnavailable, Forbidden
from webhook.kubernetes.requests import INJECTED, ApiRequest
from webhook.kubernetes.rollout import Stage

REDRAW_SECONDS = 1.0
POLL_SECONDS = 2.0
"""Seconds between two reads of a rollout's status."""


class Display(Protocol):
    """The display of a session."""

    def show_event(self, event: DrainEvent) -> None:
        """Show that a drain starts or ends."""

    def show_outage(self, outage: Outage | None) -> None:
        """Show the current outage, before each redrawing; None while the API server responds."""

    def redraw(self, selected: SelectedDrains) -> None:
        """Show the current state, once a second."""

    def show_message(self, sentence: str) -> None:
        """Show anything else."""


class _NamespaceChange(msgspec.Struct, frozen=True):
    namespace: str
    change: PodChange


class _RolloutsComplete(msgspec.Struct, frozen=True):
    """All observable rollouts are complete; the pods of each namespace, listed afterwards."""

    pods: Mapping[str, list[JsonObject]]
    missing_permissions: tuple[str, ...] = ()


class _RedrawTick(msgspec.Struct, frozen=True):
    """A second has passed."""


_SessionEvent: TypeAlias = _NamespaceChange | _RolloutsComplete | _RedrawTick | Exception


class Session:
    """The drains of a selection in a cluster."""

    def __init__(self, client: AsyncClient, namespaces: Collection[str], targets: Collection[Target]) -> None:
        self._client = client
        self._namespaces = namespaces
        self._rollouts = [target for target in targets if target.kind in RESOURCES]
        self._health = {namespace: SessionHealth() for namespace in namespaces}
        self.selected = SelectedDrains(namespaces, targets)

    async def list_drains(self) -> SelectedDrains:
        """Read the current drains.

        Raises:
            ClusterUnavailable: the cluster cannot be read.

        """
        for namespace in self._namespaces:
            async with aclosing(self._list_and_watch(namespace)) as changes:
                list(self.selected.apply(namespace, await anext(changes)))
        return self.selected

    async def watch(self, display: Display, summary: DrainSummary | None = None) -> None:
        """Show drains that start and end: forever, or with a summary until all are over.

        Raises:
            ClusterUnavailable: the cluster cannot be read.
            WaitFailed: there is no such rollout, or it has stopped.

        """
        is_rolled_out = summary is None or not self._rollouts
        async with aclosing(self._session_events(rollouts=not is_rolled_out)) as session_events:
            async for event in session_events:
                if isinstance(event, Exception):
                    raise event
                if isinstance(event, _RolloutsComplete):
                    is_rolled_out = True
                    for permission in event.missing_permissions:
                        display.show_message(f"Permission missing: {permission}. Waiting only for drains in progress.")
                for drain_event in self._drain_events(event, summary):
                    if summary:
                        summary.add(drain_event)
                    display.show_event(drain_event)
                if not self.selected.has_synced:
                    continue
                if isinstance(event, _RedrawTick):
                    display.show_outage(longest_outage(self._health.values()))
                    display.redraw(self.selected)
                if summary and is_rolled_out and self.selected.is_idle:
                    return

    def _drain_events(self, event: _SessionEvent, summary: DrainSummary | None) -> Iterator[DrainEvent]:
        match event:
            case _NamespaceChange(namespace, change):
                yield from self.selected.apply(namespace, change)
            case _RolloutsComplete(pods):
                for namespace, listed in pods.items():
                    yield from self.selected.apply_list(namespace, listed, summary.ended_uids if summary else ())

    async def _session_events(self, *, rollouts: bool) -> AsyncGenerator[_SessionEvent]:
        queue: asyncio.Queue[_SessionEvent] = asyncio.Queue(maxsize=1000)
        jobs = [self._watch_pods(namespace, queue) for namespace in self._namespaces]
        jobs += [_redraw_regularly(queue), *([self._watch_rollouts(queue)] if rollouts else [])]
        tasks = [asyncio.ensure_future(_forward_errors(job, queue)) for job in jobs]
        try:
            while True:
                yield await queue.get()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _list_and_watch(self, namespace: str) -> AsyncGenerator[PodChange, None]:
        return list_and_watch(self._client, INJECTED, namespace=namespace, health=self._health[namespace])

    async def _watch_pods(self, namespace: str, queue: asyncio.Queue[_SessionEvent]) -> None:
        async with aclosing(self._list_and_watch(namespace)) as changes:
            async for change in changes:
                await queue.put(_NamespaceChange(namespace, change))

    async def _watch_rollouts(self, queue: asyncio.Queue[_SessionEvent]) -> None:
        api = ApiClient(self._client)
        missing_permissions = []
        for namespace in self._namespaces:
            for target in self._rollouts:
                try:
                    await _wait_for_rollout(api, namespace, target)
                except Forbidden as forbidden:
                    missing_permissions.append(str(forbidden))
        # The watch may be behind the rollout's status.
        pods = {namespace: await _all_pods(api, namespace) for namespace in self._namespaces}
        await queue.put(_RolloutsComplete(pods, tuple(missing_permissions)))


async def _forward_errors(job: Awaitable[None], queue: asyncio.Queue[_SessionEvent]) -> None:
    try:
        await job
    except Exception as error:  # raised again when the queue is read
        await queue.put(error)


async def _redraw_regularly(queue: asyncio.Queue[_SessionEvent]) -> None:
    while True:
        await queue.put(_RedrawTick())
        await asyncio.sleep(REDRAW_SECONDS)


async def _wait_for_rollout(api: ApiClient, namespace: str, target: Target) -> None:
    """Wait until a rollout is complete; after too many errors, the watch of its pods ends the session."""
    question = ApiRequest(RESOURCES[target.kind], "apps", namespace, target.name)
    while True:
        with suppress(ClusterUnavailable):
            workload = await api.get(question)
            if workload is None:
                raise WaitFailed(f"{target} does not exist in namespace {namespace}")
            rollout = rollout_for_drains(target.kind, workload)
            if rollout.stage is Stage.COMPLETE:
                return
            if rollout.stage is Stage.STUCK:
                raise WaitFailed(f"the rollout of {target} in namespace {namespace} has stopped: {rollout.message}")
        await asyncio.sleep(POLL_SECONDS)


async def _all_pods(api: ApiClient, namespace: str) -> list[JsonObject]:
    while True:
        with suppress(ClusterUnavailable):
            return await api.list(ApiRequest("pods", namespace=namespace, labels=INJECTED), dict)
        await asyncio.sleep(POLL_SECONDS)
