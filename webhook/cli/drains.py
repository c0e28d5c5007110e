"""`graceful-worker drains`: which protected pods are draining, the time left, and how drains ended."""

from __future__ import annotations

import signal
import sys
from collections.abc import Coroutine
from typing import Any

import click

from webhook.cli.cluster_options import context_option, help_sections, output_option
from webhook.cli.failure import EXIT_UNKNOWN, fail
from webhook.cli.settings import Duration
from webhook.drains.rollout import RESOURCES
from webhook.drains.targets import Target, read_target
from webhook.inspection.snapshot import Names

INTERRUPTED = 130
PERMISSIONS = ("list pods", "watch pods")
"""Permissions that the command needs, in the namespaces it reads."""
ROLLOUT_PERMISSIONS = tuple(f"get {resource}.apps" for resource in RESOURCES.values())
"""Permissions that --wait needs to see that a rollout is complete."""
HISTORY_PERMISSIONS = (
    "list pods, get pods/proxy (in the namespace of the watch)",
    "or, without a watch: list pods, list events (in the namespaces to read)",
)
"""Permissions that --history needs, unless --watch-url is given."""
_HELP = help_sections(
    (
        "What --wait waits for:",
        "deployment/NAME, statefulset/NAME, daemonset/NAME (with -n): until the status says that the rollout is",
        "complete, then for the drains. Run it right after `kubectl rollout restart` or `kubectl apply`.",
        "Anything else: drains that are in progress or start meanwhile. For node/NAME, run it during",
        "`kubectl drain`.",
        "It misses drains that ended earlier, or while the API server is unreachable.",
    ),
    (
        "Exit codes with --wait:",
        "0  all observed drains have finished",
        "1  a worker was killed, cut short, ran out of memory, or failed",
        "2  the cluster cannot be read, the rollout has stopped, or the end of a drain was missed",
        "3  drains are still in progress when the timeout expires",
    ),
    ("Required permissions:", *(f"{right} (in the namespaces to read)" for right in PERMISSIONS)),
    (
        "To wait for a rollout, also one of these; without it, --wait only waits for drains in progress:",
        *ROLLOUT_PERMISSIONS,
    ),
    ("With --history, in place of these:", *HISTORY_PERMISSIONS),
)


class _TargetType(click.ParamType[Target]):
    """An object in kubectl's notation."""

    name = "target"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        """Read kind and name."""
        try:
            return value if isinstance(value, Target) else read_target(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("drains", epilog=_HELP)
@click.argument("targets", nargs=-1, type=_TargetType(), metavar="[KIND/NAME]...")
@context_option
@click.option("-n", "--namespace", "namespaces", multiple=True, metavar="NAME", help="Namespace; can be repeated.")
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces (the default).")
@click.option("-w", "--watch", is_flag=True, help="Keep watching: a live table in a terminal, else a line per event.")
@click.option("--wait", is_flag=True, help="Wait until the drains are over; the exit code shows how.")
@click.option("--timeout", type=Duration(), metavar="DURATION", help="With --wait: maximum time, such as 600 or 10m.")
@click.option("--history", is_flag=True, help="Show how past drains ended, and which grace period they need.")
@click.option("--watch-url", metavar="URL", help="With --history: URL of the watch, such as http://127.0.0.1:8080.")
@click.option(
    "--watch-namespace",
    metavar="NAME",
    default=Names().namespace,
    show_default=True,
    help="With --history: namespace of the watch.",
)
@output_option
def drains(
    targets: tuple[Target, ...],
    context: str | None,
    namespaces: tuple[str, ...],
    all_namespaces: bool,
    watch: bool,
    wait: bool,
    timeout: int | None,
    history: bool,
    watch_url: str | None,
    watch_namespace: str,
    output: str,
) -> None:
    """Show which protected pods are draining, the time left, and how drains ended.

    This command is read-only. It reads the cluster of KUBECONFIG or ~/.kube/config. Times refer to the API server's
    clock. KIND/NAME selects owners (deployment/emails, sts/import, job/report), nodes (node/node-1) or pods; several
    can be given. The cluster does not keep drains that are over: --history reads what `graceful-worker watch` has
    counted or, without a watch, what is left of them in pods and Events.
    """
    if all_namespaces and namespaces:
        raise click.UsageError("-A and -n are mutually exclusive")
    if timeout and not wait:
        raise click.UsageError("--timeout requires --wait")
    if wait and len(namespaces) != 1 and any(target.kind in RESOURCES for target in targets):
        raise click.UsageError("--wait for a rollout requires its namespace: give -n NAME once")
    namespaces, as_json = tuple(dict.fromkeys(namespaces)) or ("",), output == "json"
    if history:
        _check_history(targets, is_continuous=watch or wait)
        from webhook.cli.drains_history import HistoryRequest, show_history  # noqa: PLC0415

        request = HistoryRequest(targets, namespaces, context, watch_url, watch_namespace, as_json=as_json)
        sys.exit(_run(show_history(request)))
    if watch_url:
        raise click.UsageError("--watch-url requires --history")
    from webhook.cli.drains_run import DrainsRequest, show_drains  # noqa: PLC0415

    # Restore the terminal also on SIGTERM.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        exit_code = _run(show_drains(DrainsRequest(targets, namespaces, context, watch, wait, timeout, as_json)))
    except KeyboardInterrupt:
        exit_code = INTERRUPTED if wait else 0
    sys.exit(exit_code)


def _check_history(targets: tuple[Target, ...], *, is_continuous: bool) -> None:
    if is_continuous:
        raise click.UsageError("--history excludes --watch and --wait")
    for target in targets:
        if target.kind in ("node", "pod"):
            raise click.UsageError(f"{target}: a history is kept by owner, such as deployment/emails")


def _run(command: Coroutine[Any, Any, int]) -> int:
    # Imported here because other commands need neither a client nor an event loop.
    import asyncio  # noqa: PLC0415

    from webhook.kubernetes.errors import ClusterUnavailable  # noqa: PLC0415

    try:
        return asyncio.run(command)
    except ClusterUnavailable as error:
        fail(str(error), EXIT_UNKNOWN)
