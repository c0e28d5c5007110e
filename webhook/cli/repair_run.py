"""A run of `repair`: observe, plan, restart, report; Ctrl-C stops it between two owners."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

import click
from httpx2 import AsyncClient
from msgspec.structs import replace

from webhook.cli.failure import fail
from webhook.cli.repair_report import as_json, exit_code, plan_text, result_text, summary
from webhook.inspection.api_client import ApiClient, gather_or_cancel
from webhook.inspection.cluster import take_snapshot
from webhook.inspection.kubeconfig import connect, read_kubeconfig
from webhook.inspection.snapshot import Names, Snapshot
from webhook.repair.plan import Choice, Plan, Wait, chosen_damage, make_plan, to_look_at, unknown_owners, why_wait
from webhook.repair.restarting import Restarts
from webhook.repair.results import Result
from webhook.repair.watching import Clock, Pace, look_at


class RepairRun:
    """One run and its results."""

    def __init__(
        self, names: Names, choice: Choice, pace: Pace, *, is_dry: bool, as_json: bool, clock: Clock | None = None
    ) -> None:
        self._names = names
        self._choice = choice
        self._pace = pace
        self._is_dry = is_dry
        self._as_json = as_json
        self._clock = clock or Clock()
        self._restarts: Restarts | None = None
        self._wait: Wait | None = None
        self.plan: Plan | None = None
        """What to do; None until that is known."""

    async def run(self, context: str | None) -> None:
        """Observe the cluster, and restart owners if that is wanted.

        Raises:
            ClusterUnavailable: the cluster cannot be read, or no longer.

        """
        config = read_kubeconfig(context)
        self._names = replace(self._names, context=config.context_name)
        async with connect(config) as client:
            await self.work(client)

    async def work(self, client: AsyncClient) -> None:
        """Run with a client."""
        observed = await take_snapshot(client, self._names, limits=False)
        if unknown := unknown_owners(observed, self._choice):
            places = ", ".join(sorted(self._choice.namespaces))
            fail(f"no worker pod of {', '.join(unknown)} found in {places}: check the name", 2)
        api = ApiClient(client)
        self._wait = why_wait(observed, self._clock.now())
        self.plan = await self._plan(api, observed)
        if not self._as_json:
            self._tell(plan_text(self._names.context, self.plan, self._wait, is_dry=self._is_dry))
        if self.plan.restarts and not self._is_dry and not self._wait:
            self._restarts = Restarts(api, observed, self._pace, self._clock, self._say)
            with self._interruptible(self._restarts):
                await self._restarts.run(self.plan.restarts, lambda result: self._tell(result_text(result)))

    async def _plan(self, api: ApiClient, observed: Snapshot) -> Plan:
        damages = chosen_damage(observed, self._choice)
        owners = [damage.owner for damage in to_look_at(damages)]
        looks = await gather_or_cancel(*(look_at(api, owner) for owner in owners))
        return make_plan(damages, dict(zip(owners, looks, strict=True)), observed)

    @contextmanager
    def _interruptible(self, restarts: Restarts) -> Iterator[None]:
        """Let the first Ctrl-C stop the run after the current rollout; the second one acts as usual."""
        before = signal.getsignal(signal.SIGINT)

        def end(number: int, frame: FrameType | None) -> None:
            restarts.is_to_end = True
            signal.signal(signal.SIGINT, before)
            self._say("Stopping after the current rollout. Press Ctrl-C again to stop at once.")

        signal.signal(signal.SIGINT, end)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _say(self, line: str) -> None:
        """Report progress; with JSON output, on standard error."""
        click.echo(line, err=self._as_json)

    def _tell(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._say(line)

    @property
    def _results(self) -> list[Result]:
        return self._restarts.results if self._restarts else []

    @property
    def exit_code(self) -> int:
        """Return 0 if nothing is left to repair, 1 if something is, 2 if that is unknown."""
        return exit_code(self.plan or Plan([], []), self._wait, self._results)

    def finish(self) -> None:
        """Report the overall result."""
        plan = self.plan or Plan([], [])
        if self._as_json:
            results = None if self._is_dry else self._results
            click.echo(as_json(self._names.context, plan, self._wait, results, self.exit_code))
        elif self._restarts:
            self._tell(summary(plan, self._results))
