"""`graceful-worker repair`: restarts the owners of pods that came through unprotected or carry an older injection."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

import click

from webhook.cli.cluster_options import configuration_option, context_option, output_option
from webhook.cli.failure import fail
from webhook.cli.settings import Duration
from webhook.inspection.observations import Names
from webhook.inspection.questions import REPAIR_RIGHTS, RESTART_RIGHTS, RIGHTS

if TYPE_CHECKING:
    from webhook.cli.repair_run import RepairRun

CANNOT_ASK = 2
_ALIASES = {
    "deployment": ("deployments", "deploy"),
    "statefulset": ("statefulsets", "sts"),
    "daemonset": ("daemonsets", "ds"),
    "replicaset": ("replicasets", "rs"),
    "job": ("jobs",),
    "pod": ("pods", "po"),
}
_KINDS = {alias: kind for kind, aliases in _ALIASES.items() for alias in aliases}
"""Kinds by the other names that kubectl knows."""
_RIGHTS = "\n\n".join(
    "\b\n" + "\n".join([title, *(f"  {right}" for right in rights)])
    for title, rights in (
        ("The rights that this needs (Secrets are never read):", RIGHTS),
        ("Those that tell whether owners can be restarted, in their namespaces:", REPAIR_RIGHTS),
        ("With --yes also these, there, too:", RESTART_RIGHTS),
    )
)


class OwnerName(click.ParamType[tuple[str, str]]):
    """An owner as kubectl names it, such as deployment/emails; its value is kind and name."""

    name = "owner"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Read the name."""
        if isinstance(value, tuple):
            return value
        kind, _, name = value.lower().partition("/")
        kind = kind.partition(".")[0]
        if not kind or not name or "/" in name:
            self.fail(f"{value!r} names no owner; write for example deployment/emails", param, ctx)
        return _KINDS.get(kind, kind), name


@click.command("repair", epilog=_RIGHTS)
@click.argument("owners", nargs=-1, type=OwnerName(), metavar="[KIND/NAME]...")
@context_option
@click.option("-n", "--namespace", "namespaces", metavar="NAME", multiple=True, help="Only owners here; several times.")
@click.option("--yes", is_flag=True, help="Restart the owners; without this, nothing is changed.")
@click.option(
    "--every", type=Duration(), default="30s", show_default=True, help="Time from one restart to the next, at least."
)
@click.option(
    "--timeout",
    type=Duration(),
    default="15m",
    show_default=True,
    help="How long a rollout may stand still, beyond the grace period of its pods.",
)
@click.option(
    "--installation", metavar="NAME", default=Names().namespace, show_default=True, help="Namespace of the webhook."
)
@configuration_option
@output_option
def repair(
    owners: tuple[tuple[str, str], ...],
    context: str | None,
    namespaces: tuple[str, ...],
    yes: bool,
    every: int,
    timeout: int,
    installation: str,
    configuration: str,
    output: str,
) -> None:
    """Restart what owns pods that came through unprotected, or carry an older injection than the version that runs.

    Without --yes nothing is changed: the owners are listed; those that cannot be restarted, with what to do instead.

    With --yes they are restarted one after the other, as by kubectl rollout restart, and each is waited for. As soon as
    a new pod comes back unprotected, all ends: the owners behind it would fare no better. Nothing begins while the
    installation does not work. A rollout keeps to the owner's own strategy; a paused one is left alone.

    Ctrl-C ends it when the present rollout is over; a second one does not wait for that.

    The exit code is 0 when nothing is left to repair, 1 when something is, 2 when the cluster cannot be asked or a
    right is missing.
    """
    # Other commands need none of this.
    from webhook.cli.repair_run import RepairRun  # noqa: PLC0415
    from webhook.repair.plan import Choice  # noqa: PLC0415
    from webhook.repair.watching import Pace  # noqa: PLC0415

    if owners and not namespaces:
        raise click.UsageError(f"In which namespace is {'/'.join(owners[0])}? Write -n NAME, too.")
    choice = Choice(frozenset(namespaces), frozenset(owners))
    names = Names(installation, configuration)
    _end(RepairRun(names, choice, Pace(every, timeout), is_dry=not yes, as_json=output == "json"), context)


def _end(work: RepairRun, context: str | None) -> NoReturn:
    """Do it, and exit; whatever ends it early, what was done is told."""
    import asyncio  # noqa: PLC0415

    from webhook.inspection.connection import CannotAsk  # noqa: PLC0415

    trouble = ""
    try:
        asyncio.run(work.run(context))
    except CannotAsk as error:
        trouble = str(error)
    except KeyboardInterrupt:
        if work.plan is None:
            fail("Interrupted; nothing was changed.")
    if work.plan:
        work.finish()
    if trouble:
        fail(trouble, CANNOT_ASK)
    sys.exit(work.exit_code)
