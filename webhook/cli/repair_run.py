"""A run of `repair`: take a snapshot, plan, restart, report; Ctrl-C stops it between two owners."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from types import FrameType

import click
from httpx2 import AsyncClient
from msgspec.structs import replace

from webhook.cli.failure import fail
from webhook.cli.repair_report import as_json, exit_code, plan_text, result_text, summary
from webhook.inspection.cluster import take_snapshot
from webhook.inspection.snapshot import Names, Snapshot
from webhook.kubernetes.api_client import ApiClient, gather_or_cancel
from webhook.kubernetes.kubeconfig import connect, read_kubeconfig
from webhook.repair.blockers import find_blocker_by_kind
from webhook.repair.plan import (
    Plan,
    Selection,
    UnmetPrecondition,
    check_preconditions,
    make_plan,
    select_candidates,
    unknown_workloads,
)
from webhook.repair.restarts import Restarts
from webhook.repair.results import Result
from webhook.repair.rollout_watch import Clock, Timing, read_live_object


@dataclass
class RepairRun:
    """One run and its results."""

    names: Names
    selection: Selection
    timing: Timing
    _: KW_ONLY
    is_dry: bool
    as_json: bool
    clock: Clock = field(default_factory=Clock)
    plan: Plan | None = field(default=None, init=False)
    """What to do; None until that is known."""
    _restarts: Restarts | None = field(default=None, init=False)
    _unmet: UnmetPrecondition | None = field(default=None, init=False)

    async def run(self, context: str | None) -> None:
        """Read the cluster, and restart owners if that is wanted.

        Raises:
            ClusterUnavailable: the cluster cannot be read, or no longer.

        """
        config = read_kubeconfig(context)
        self.names = replace(self.names, context=config.context_name)
        async with connect(config) as client:
            await self.work(client)

    async def work(self, client: AsyncClient) -> None:
        """Run with a client."""
        snapshot = await take_snapshot(client, self.names, limits=False)
        if unknown := unknown_workloads(snapshot, self.selection):
            places = ", ".join(sorted(self.selection.namespaces))
            fail(f"no worker pod of {', '.join(unknown)} found in {places}: check the name", 2)
        api = ApiClient(client)
        self._unmet = check_preconditions(snapshot, self.clock.now())
        self.plan = await self._plan(api, snapshot)
        if not self.as_json:
            self._print_lines(plan_text(self.names.context, self.plan, self._unmet, is_dry=self.is_dry))
        if self.plan.restarts and not self.is_dry and not self._unmet:
            self._restarts = Restarts(api, snapshot, self.timing, self.clock, self._print_line)
            with self._interruptible(self._restarts):
                await self._restarts.run(self.plan.restarts, lambda result: self._print_lines(result_text(result)))

    async def _plan(self, api: ApiClient, snapshot: Snapshot) -> Plan:
        candidates = select_candidates(snapshot, self.selection)
        workloads = [each.workload for each in candidates if find_blocker_by_kind(each) is None]
        live_objects = await gather_or_cancel(*(read_live_object(api, workload) for workload in workloads))
        return make_plan(candidates, dict(zip(workloads, live_objects, strict=True)), snapshot)

    @contextmanager
    def _interruptible(self, restarts: Restarts) -> Iterator[None]:
        """Let the first Ctrl-C stop the run after the current rollout; the second one acts as usual."""
        before = signal.getsignal(signal.SIGINT)

        def end(number: int, frame: FrameType | None) -> None:
            restarts.stop_requested = True
            signal.signal(signal.SIGINT, before)
            self._print_line("Stopping after the current rollout. Press Ctrl-C again to stop at once.")

        signal.signal(signal.SIGINT, end)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _print_line(self, line: str) -> None:
        """Report progress; with JSON output, on standard error."""
        click.echo(line, err=self.as_json)

    def _print_lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._print_line(line)

    @property
    def _results(self) -> list[Result]:
        return self._restarts.results if self._restarts else []

    @property
    def exit_code(self) -> int:
        """Return 0 if nothing is left to repair, 1 if something is, 2 if that is unknown."""
        return exit_code(self.plan or Plan([], []), self._unmet, self._results)

    def finish(self) -> None:
        """Report the overall result."""
        plan = self.plan or Plan([], [])
        if self.as_json:
            results = None if self.is_dry else self._results
            click.echo(as_json(self.names.context, plan, self._unmet, results, self.exit_code))
        elif self._restarts:
            self._print_lines(summary(plan, self._results))
