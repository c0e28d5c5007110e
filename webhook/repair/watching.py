"""Watches a rollout until its new pods are protected, or one of them is not."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable, Sequence

import msgspec

from webhook.core.pod import JsonObject
from webhook.inspection.api_client import ApiClient, catch_forbidden
from webhook.inspection.errors import ClusterUnavailable, Forbidden
from webhook.inspection.pluralize import pluralize
from webhook.inspection.requests import ApiRequest, pod_request, workload_pods_request, workload_request
from webhook.repair.damage import Damage, Owner
from webhook.repair.owners import RESTARTED, Look
from webhook.repair.results import Outcome, Result
from webhook.repair.rollout import Stage, rollout_of
from webhook.repair.successors import Successor, of_owner, read_successor, why_bare


class Pace(msgspec.Struct, frozen=True):
    """The timing, in seconds."""

    every: int = 30
    """Minimum time between two restarts."""
    timeout: int = 15 * 60
    """How long a rollout may make no progress, in addition to its pods' grace period."""
    look: int = 5
    """Interval for reading the rollout."""
    silence: int = 60
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


def about(owner: Owner) -> ApiRequest:
    """Return the request for an owner."""
    return workload_request(RESTARTED[owner.kind], owner.namespace, owner.name)


async def look_at(api: ApiClient, owner: Owner) -> Look:
    """Return the current state of an owner."""
    return await catch_forbidden(api.get(about(owner)))


async def look_at_pods(api: ApiClient, owner: Owner, look: JsonObject) -> list[Successor]:
    """Return the current pods of an owner that are not terminating."""
    return of_owner(owner, await api.list(workload_pods_request(look), read_successor))


class Watch:
    """Watches one rollout; `before` are the pods that existed at its start."""

    def __init__(
        self,
        api: ApiClient,
        damage: Damage,
        before: frozenset[str],
        newest: str,
        pace: Pace,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._api = api
        self._damage = damage
        self._before = before
        self._newest = newest
        self._pace = pace
        self._clock = clock
        self._say = say
        self._began = self._moved = self._answered = clock.monotonic()
        self._furthest: int | None = None
        self._said = ""

    async def result(self) -> Result:
        """Watch it until it ends.

        Raises:
            ClusterUnavailable: the API server can no longer be reached.

        """
        while True:
            await self._clock.sleep(self._pace.look)
            try:
                result = await self._look()
                self._answered = self._clock.monotonic()
            except (ClusterUnavailable, Forbidden) as error:
                # It may be upgraded; the rollout continues meanwhile.
                if self._clock.monotonic() - self._answered > self._pace.silence:
                    raise ClusterUnavailable(str(error)) from None
                continue
            if result:
                return result

    async def _look(self) -> Result | None:
        owner = await self._api.get(about(self._damage.owner))
        if owner is None:
            return Result(self._damage, Outcome.GONE)
        pods = await look_at_pods(self._api, self._damage.owner, owner)
        return await self._by_new_pods(pods) or self._by_rollout(owner, pods)

    async def _by_new_pods(self, pods: Sequence[Successor]) -> Result | None:
        """Stop at the first new pod that is still unprotected: the others will be, too."""
        for pod in pods:
            if pod.uid in self._before or pod.is_well(self._newest):
                continue
            if pod.version:
                values = {"pod": pod.name, "version": pod.version, "newest": self._newest}
                return Result(self._damage, Outcome.OLDER, values)
            whole = await self._api.list(pod_request(self._damage.owner.namespace, pod.name), dict)
            why = why_bare(next(iter(whole), None))
            return Result(self._damage, Outcome.UNPROTECTED, {"pod": pod.name, "why": why})
        return None

    def _by_rollout(self, owner: JsonObject, pods: Sequence[Successor]) -> Result | None:
        rollout = rollout_of(self._damage.owner.kind, owner)
        left = sum(not pod.is_well(self._newest) for pod in pods)
        if rollout.stage is Stage.COMPLETE and not left:
            values = {"seconds": self._seconds(self._began), "count": pluralize(len(pods), "pod")}
            return Result(self._damage, Outcome.REPAIRED, values)
        says = rollout.says or f"{pluralize(left, 'old pod')} left"
        if rollout.stage is Stage.STUCK:
            return Result(self._damage, Outcome.STUCK, {"says": says})
        self._note(rollout.progress - left, says)
        if self._clock.monotonic() - self._moved > self._pace.timeout + self._damage.grace:
            return Result(self._damage, Outcome.TIMED_OUT, {"says": says, "seconds": self._seconds(self._moved)})
        return None

    def _note(self, progress: int, says: str) -> None:
        """Record the progress: only values never reached before count, so that a crash loop is not progress."""
        if self._furthest is None or progress > self._furthest:
            self._furthest, self._moved = progress, self._clock.monotonic()
        if says != self._said:
            self._said = says
            self._say(f"  {says}")

    def _seconds(self, since: float) -> str:
        return str(round(self._clock.monotonic() - since))
