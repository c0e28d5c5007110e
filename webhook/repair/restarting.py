"""Restarts owners one after the other, until new pods of one are still unprotected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from webhook.inspection.api_client import ApiClient
from webhook.inspection.errors import ClusterUnavailable, PatchRejected
from webhook.inspection.snapshot import Snapshot
from webhook.repair.damage import Damage, newest_of
from webhook.repair.owners import hindered
from webhook.repair.results import Outcome, Result, not_restarted
from webhook.repair.watching import Clock, Pace, Watch, about, look_at, look_at_pods

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""The annotation that `kubectl rollout restart` sets in the pod template.

https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-k8s-io-restart-at
"""
MANAGER = "graceful-worker-repair"


class Restarts:
    """Restarts owners one after the other, and collects the results."""

    def __init__(
        self, api: ApiClient, observed: Snapshot, pace: Pace, clock: Clock, say: Callable[[str], None]
    ) -> None:
        self._api = api
        self._observed = observed
        self._newest = newest_of(observed)
        self._pace = pace
        self._clock = clock
        self._say = say
        self.results: list[Result] = []
        self.is_to_end = False
        """Set from outside: restart no further owner."""

    async def run(self, damages: list[Damage], tell: Callable[[Result], None]) -> None:
        """Restart owners until new pods of one are still unprotected.

        Raises:
            ClusterUnavailable: the API server can no longer be reached.

        """
        last = None
        for damage in damages:
            await self._wait_for_turn(last)
            if self.is_to_end:
                return
            now = self._clock.monotonic()
            result = await self._repair(damage)
            self._note(result, tell)
            if result.outcome.stops:
                return
            last = now if result.outcome is Outcome.REPAIRED else last

    def _note(self, result: Result, tell: Callable[[Result], None]) -> None:
        self.results.append(result)
        tell(result)

    async def _wait_for_turn(self, last: float | None) -> None:
        while last is not None and not self.is_to_end:
            left = last + self._pace.every - self._clock.monotonic()
            if left <= 0:
                return
            await self._clock.sleep(min(left, 1))

    async def _repair(self, damage: Damage) -> Result:
        """Read the owner again, because it may have changed; then restart and watch it."""
        look = await look_at(self._api, damage.owner)
        if hindrance := hindered(damage, look, self._observed):
            return not_restarted(damage, hindrance)
        before = await look_at_pods(self._api, damage.owner, look) if isinstance(look, dict) else []
        if all(pod.is_well(self._newest) for pod in before):
            return Result(damage, Outcome.NOT_NEEDED)
        return await self._restart(damage, frozenset(pod.uid for pod in before))

    async def _restart(self, damage: Damage, before: frozenset[str]) -> Result:
        self._say(f"Restarting {damage.owner}: {damage}.")
        annotations = {RESTARTED_AT: self._clock.now().isoformat(timespec="seconds")}
        change = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
        try:
            await self._api.patch(about(damage.owner), change, MANAGER)
            watch = Watch(self._api, damage, before, self._newest, self._pace, self._clock, self._say)
            return await watch.result()
        except PatchRejected as rejected:
            return Result(damage, Outcome.REJECTED, {"message": str(rejected)})
        except (ClusterUnavailable, asyncio.CancelledError):
            # After an abort, this one must be reported, too.
            self.results.append(Result(damage, Outcome.NOT_AWAITED))
            raise
