"""Watches a rollout until its new pods are protected, or one of them is not."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from webhook.core.formatting import pluralize
from webhook.core.pod import JsonObject
from webhook.kubernetes.api_client import ApiClient, catch_forbidden
from webhook.kubernetes.errors import ClusterUnavailable, Forbidden
from webhook.kubernetes.requests import NON_TERMINAL_PHASES, ApiRequest
from webhook.kubernetes.rollout import Stage, rollout_of
from webhook.kubernetes.selectors import to_query
from webhook.repair.blockers import RESTARTABLE, LiveObject
from webhook.repair.candidates import RestartCandidate, Workload
from webhook.repair.replacement_pods import ReplacementPod, explain_unprotected, pods_of, read_replacement_pod
from webhook.repair.results import Outcome, Result


class Timing(msgspec.Struct, frozen=True):
    """The timing, in seconds."""

    every: int = 30
    """Minimum time between two restarts."""
    timeout: int = 15 * 60
    """How long a rollout may make no progress, in addition to its pods' grace period."""
    poll_interval: int = 5
    """Interval for reading the rollout."""
    outage: int = 60
    """How long the API server may be unreachable, for example during an upgrade."""


class Clock:
    """The clock; tests replace it."""

    def monotonic(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def now(self) -> datetime.datetime:
        """Return the current time."""
        return datetime.datetime.now(datetime.UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def request_for(workload: Workload) -> ApiRequest:
    """Return the request for a workload."""
    return ApiRequest(RESTARTABLE[workload.kind], "apps", workload.namespace, workload.name)


async def read_live_object(api: ApiClient, workload: Workload) -> LiveObject:
    """Return the current state of a workload."""
    return await catch_forbidden(api.get(request_for(workload)))


async def list_pods(api: ApiClient, workload: Workload, live_object: JsonObject) -> list[ReplacementPod]:
    """Return the current pods of a workload that are not terminating."""
    labels = to_query(live_object["spec"]["selector"])
    request = ApiRequest("pods", "", workload.namespace, labels=labels, fields=NON_TERMINAL_PHASES, metadata_only=True)
    return pods_of(workload, await api.list(request, read_replacement_pod))


@dataclass
class RolloutWatch:
    """Watches one rollout; `before` are the pods that existed at its start."""

    api: ApiClient
    candidate: RestartCandidate
    before: frozenset[str]
    newest: str
    timing: Timing
    clock: Clock
    print_line: Callable[[str], None]

    def __post_init__(self) -> None:
        self._started_at = self._progressed_at = self._answered_at = self.clock.monotonic()
        self._best_progress: int | None = None
        self._last_message = ""

    async def result(self) -> Result:
        """Watch it until it ends.

        Raises:
            ClusterUnavailable: the API server can no longer be reached.

        """
        while True:
            await self.clock.sleep(self.timing.poll_interval)
            try:
                result = await self._poll()
                self._answered_at = self.clock.monotonic()
            except (ClusterUnavailable, Forbidden) as error:
                # It may be upgraded; the rollout continues meanwhile.
                if self.clock.monotonic() - self._answered_at > self.timing.outage:
                    raise ClusterUnavailable(str(error)) from None
                continue
            if result:
                return result

    async def _poll(self) -> Result | None:
        workload = await self.api.get(request_for(self.candidate.workload))
        if workload is None:
            return Result(self.candidate, Outcome.GONE)
        pods = await list_pods(self.api, self.candidate.workload, workload)
        return await self._by_new_pods(pods) or self._by_rollout(workload, pods)

    async def _by_new_pods(self, pods: Sequence[ReplacementPod]) -> Result | None:
        """Stop at the first new pod that is still unprotected: the others will be, too."""
        for pod in pods:
            if pod.uid in self.before or pod.is_protected(self.newest):
                continue
            if pod.version:
                values = {"pod": pod.name, "version": pod.version, "newest": self.newest}
                return Result(self.candidate, Outcome.OLDER, values)
            # A list of one, because permission to list is needed anyway.
            namespace, name = self.candidate.workload.namespace, f"metadata.name={pod.name}"
            found = await self.api.list(ApiRequest("pods", namespace=namespace, fields=name), dict)
            why = explain_unprotected(next(iter(found), None))
            return Result(self.candidate, Outcome.UNPROTECTED, {"pod": pod.name, "why": why})
        return None

    def _by_rollout(self, workload: JsonObject, pods: Sequence[ReplacementPod]) -> Result | None:
        rollout = rollout_of(self.candidate.workload.kind, workload)
        left = sum(not pod.is_protected(self.newest) for pod in pods)
        if rollout.stage is Stage.COMPLETE and not left:
            values = {"seconds": self._seconds(self._started_at), "count": pluralize(len(pods), "pod")}
            return Result(self.candidate, Outcome.REPAIRED, values)
        message = rollout.message or f"{pluralize(left, 'old pod')} left"
        if rollout.stage is Stage.STUCK:
            return Result(self.candidate, Outcome.STUCK, {"says": message})
        self._note_progress(rollout.progress - left, message)
        if self.clock.monotonic() - self._progressed_at > self.timing.timeout + self.candidate.grace:
            values = {"says": message, "seconds": self._seconds(self._progressed_at)}
            return Result(self.candidate, Outcome.TIMED_OUT, values)
        return None

    def _note_progress(self, progress: int, message: str) -> None:
        """Record the progress: only values never reached before count, so that a crash loop is not progress."""
        if self._best_progress is None or progress > self._best_progress:
            self._best_progress, self._progressed_at = progress, self.clock.monotonic()
        if message != self._last_message:
            self._last_message = message
            self.print_line(f"  {message}")

    def _seconds(self, since: float) -> str:
        return str(round(self.clock.monotonic() - since))
