"""Restarts workloads one after the other, until new pods of one are still unprotected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from webhook.inspection.installation_checks import newest_version
from webhook.inspection.snapshot import Snapshot
from webhook.kubernetes.api_client import ApiClient
from webhook.kubernetes.errors import ClusterUnavailable, PatchRejected
from webhook.repair.blockers import find_blocker
from webhook.repair.candidates import RestartCandidate
from webhook.repair.results import Outcome, Result
from webhook.repair.rollout_watch import Clock, RolloutWatch, Timing, list_pods, read_live_object, request_for

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""The annotation that `kubectl rollout restart` sets in the pod template.

https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-k8s-io-restart-at
"""
FIELD_MANAGER = "graceful-worker-repair"


@dataclass
class Restarts:
    """Restarts workloads one after the other, and collects the results."""

    api: ApiClient
    snapshot: Snapshot
    timing: Timing
    clock: Clock
    print_line: Callable[[str], None]

    def __post_init__(self) -> None:
        self._newest = newest_version(self.snapshot)
        self.results: list[Result] = []
        self.stop_requested = False
        """Set from outside: restart no further workload."""

    async def run(self, candidates: list[RestartCandidate], report: Callable[[Result], None]) -> None:
        """Restart workloads until new pods of one are still unprotected.

        Raises:
            ClusterUnavailable: the API server can no longer be reached.

        """
        last = None
        for candidate in candidates:
            await self._wait_for_turn(last)
            if self.stop_requested:
                return
            now = self.clock.monotonic()
            result = await self._repair(candidate)
            self.results.append(result)
            report(result)
            if result.outcome.stops:
                return
            last = now if result.outcome is Outcome.REPAIRED else last

    async def _wait_for_turn(self, last: float | None) -> None:
        while last is not None and not self.stop_requested:
            left = last + self.timing.every - self.clock.monotonic()
            if left <= 0:
                return
            await self.clock.sleep(min(left, 1))

    async def _repair(self, candidate: RestartCandidate) -> Result:
        """Read the workload again, because it may have changed; then restart and watch it."""
        live_object = await read_live_object(self.api, candidate.workload)
        if blocker := find_blocker(candidate, live_object, self.snapshot):
            return Result(candidate, Outcome.BLOCKED, {"sentence": blocker.sentence, "remedy": blocker.advice})
        before = await list_pods(self.api, candidate.workload, live_object) if isinstance(live_object, dict) else []
        if all(pod.is_protected(self._newest) for pod in before):
            return Result(candidate, Outcome.NOT_NEEDED)
        return await self._restart(candidate, frozenset(pod.uid for pod in before))

    async def _restart(self, candidate: RestartCandidate, before: frozenset[str]) -> Result:
        self.print_line(f"Restarting {candidate.workload}: {candidate}.")
        annotations = {RESTARTED_AT: self.clock.now().isoformat(timespec="seconds")}
        change = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
        try:
            await self.api.patch(request_for(candidate.workload), change, FIELD_MANAGER)
            watch = RolloutWatch(self.api, candidate, before, self._newest, self.timing, self.clock, self.print_line)
            return await watch.result()
        except PatchRejected as rejected:
            return Result(candidate, Outcome.REJECTED, {"message": str(rejected)})
        except (ClusterUnavailable, asyncio.CancelledError):
            # After an abort, this one must be reported, too.
            self.results.append(Result(candidate, Outcome.NOT_AWAITED))
            raise
