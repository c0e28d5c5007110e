"""`graceful-worker repair`: restarts the owners of pods that are unprotected or were injected by an older version."""

from __future__ import annotations

import sys

import click

from webhook.cli.cluster_options import configuration_option, context_option, help_sections, output_option
from webhook.cli.failure import EXIT_UNKNOWN, fail
from webhook.cli.settings import Duration
from webhook.inspection.requests import PERMISSIONS, REPAIR_PERMISSIONS, RESTART_PERMISSIONS
from webhook.inspection.snapshot import Names

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
_RIGHTS = help_sections(
    ("Required permissions (Secrets are never read):", *PERMISSIONS),
    ("To tell whether owners can be restarted, in their namespaces:", *REPAIR_PERMISSIONS),
    ("With --yes, in the same namespaces:", *RESTART_PERMISSIONS),
)


class OwnerName(click.ParamType[tuple[str, str]]):
    """An owner in kubectl's notation, such as deployment/emails; the value is kind and name."""

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
            self.fail(f"{value!r} is not an owner; use a value such as deployment/emails", param, ctx)
        return _KINDS.get(kind, kind), name


@click.command("repair", epilog=_RIGHTS)
@click.argument("owners", nargs=-1, type=OwnerName(), metavar="[KIND/NAME]...")
@context_option
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    metavar="NAME",
    multiple=True,
    help="Only owners in this namespace; can be repeated.",
)
@click.option("--yes", is_flag=True, help="Restart the owners. Without this option, nothing is changed.")
@click.option("--every", type=Duration(), default="30s", show_default=True, help="Minimum time between two restarts.")
@click.option(
    "--timeout",
    type=Duration(),
    default="15m",
    show_default=True,
    help="How long a rollout may make no progress, in addition to the grace period of its pods.",
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
    """Restart the owners of pods that are unprotected or were injected by a version older than the running one.

    Without --yes, nothing is changed: owners are only listed. Those that cannot be restarted are listed with advice.

    With --yes, owners are restarted one after the other, as by kubectl rollout restart. Each rollout is awaited and
    follows the owner's update strategy. If a new pod is still unprotected, repair stops, because the remaining owners
    would fare no better. It does not start while the installation is broken. Paused rollouts are left alone.

    Press Ctrl-C to stop after the current rollout, and again to stop at once.

    The exit code is 0 if nothing is left to repair, 1 if something is, 2 if the cluster cannot be read or a permission
    is missing.
    """
    # Imported here because other commands do not need it.
    import asyncio  # noqa: PLC0415

    from webhook.cli.repair_run import RepairRun  # noqa: PLC0415
    from webhook.kubernetes.errors import ClusterUnavailable  # noqa: PLC0415
    from webhook.repair.plan import Selection  # noqa: PLC0415
    from webhook.repair.rollout_watch import Timing  # noqa: PLC0415

    if owners and not namespaces:
        raise click.UsageError(f"The namespace of {'/'.join(owners[0])} is missing: add -n NAME.")
    selection = Selection(frozenset(namespaces), frozenset(owners))
    names = Names(installation, configuration)
    work = RepairRun(names, selection, Timing(every, timeout), is_dry=not yes, as_json=output == "json")
    try:
        asyncio.run(work.run(context))
    except ClusterUnavailable as error:
        # Report what was done even if it ends early.
        if work.plan:
            work.finish()
        fail(str(error), EXIT_UNKNOWN)
    except KeyboardInterrupt:
        if work.plan is None:
            fail("Interrupted; nothing was changed.")
    work.finish()
    sys.exit(work.exit_code)
