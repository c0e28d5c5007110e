"""`graceful-worker status`: checks whether protection works in a cluster, and advises what to do if not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from webhook.cli.cluster_options import configuration_option, context_option, help_sections, output_option
from webhook.cli.failure import EXIT_UNKNOWN, fail
from webhook.inspection.requests import (
    DRAIN_HISTORY_PERMISSIONS,
    DRAIN_LIMIT_PERMISSIONS,
    KUBELET_PERMISSIONS,
    PERMISSIONS,
)
from webhook.inspection.snapshot import Names

if TYPE_CHECKING:
    from webhook.inspection.snapshot import Snapshot

_RIGHTS = help_sections(
    ("Required permissions (Secrets are never read):", *PERMISSIONS),
    ("To detect what cuts drains short:", *DRAIN_LIMIT_PERMISSIONS),
    ("To read how drains ended from the watch (not with --watch-url):", *DRAIN_HISTORY_PERMISSIONS),
    ("With --kubelets (this permission also allows running commands in all pods of a node):", *KUBELET_PERMISSIONS),
)


@click.command("status", epilog=_RIGHTS)
@context_option
@click.option(
    "--namespace", metavar="NAME", default=Names().namespace, show_default=True, help="Namespace of the installation."
)
@configuration_option
@click.option("--pods", is_flag=True, help="Also list the pods: state, workers with their modes, version.")
@click.option("--kubelets", is_flag=True, help="Ask some kubelets how long a node shutdown waits for pods.")
@click.option("--watch-url", metavar="URL", help="URL of the watch, such as http://127.0.0.1:8080.")
@output_option
def status(
    context: str | None,
    namespace: str,
    configuration: str,
    pods: bool,
    kubelets: bool,
    watch_url: str | None,
    output: str,
) -> None:
    """Check whether protection works in a cluster; if not, show what is wrong and what to do.

    This command is read-only. It reads the cluster of KUBECONFIG or ~/.kube/config. Reasons for leaving pods alone
    follow the rules of this version. What may end a drain before its grace period is shown as far as it is
    visible.

    The exit code is 0 if everything works, 1 if something is wrong, 2 if the cluster cannot be read or a permission is
    missing. What may end drains early, how drains ended, and missing permissions to see either do not change the
    exit code.
    """
    # Imported here because other commands need neither a client nor cryptography.
    import asyncio  # noqa: PLC0415

    from certs.clock import wall_clock  # noqa: PLC0415
    from webhook.cli.status_report import as_json, pods_table, text  # noqa: PLC0415
    from webhook.inspection.checks import overall_verdict, run_checks  # noqa: PLC0415
    from webhook.kubernetes.errors import ClusterUnavailable  # noqa: PLC0415

    try:
        snapshot = asyncio.run(_take_snapshot(context, Names(namespace, configuration), watch_url, kubelets=kubelets))
    except ClusterUnavailable as error:
        fail(str(error), EXIT_UNKNOWN)
    diagnostics = run_checks(snapshot, wall_clock())
    verdict = overall_verdict(diagnostics)
    if output == "json":
        click.echo(as_json(snapshot, diagnostics, verdict, with_pods=pods))
    else:
        click.echo("\n".join([*text(snapshot, diagnostics, verdict), *(pods_table(snapshot) if pods else ())]))
    sys.exit(verdict.exit_code)


async def _take_snapshot(context: str | None, names: Names, watch_url: str | None, *, kubelets: bool) -> Snapshot:
    from msgspec.structs import replace  # noqa: PLC0415

    from webhook.inspection.cluster import take_snapshot  # noqa: PLC0415
    from webhook.kubernetes.kubeconfig import connect, read_kubeconfig  # noqa: PLC0415

    config = read_kubeconfig(context)
    async with connect(config) as client:
        names = replace(names, context=config.context_name)
        return await take_snapshot(client, names, kubelets=kubelets, watch_url=watch_url)
