"""`graceful-worker drains`: which protected pods drain, how long yet, and how it ended."""

from __future__ import annotations

import signal
import sys
from typing import Any

import click

from webhook.cli.cluster_options import context_option, output_option
from webhook.cli.failure import fail
from webhook.cli.settings import Duration
from webhook.drains.rollout import RESOURCES
from webhook.drains.selection import Target, read_target
from webhook.inspection.observations import Names

CANNOT_ASK, INTERRUPTED = 2, 130
RIGHTS = ("list pods", "watch pods")
"""What somebody needs who runs the command, in the namespaces that are asked about."""
ROLLOUT_RIGHTS = tuple(f"get {resource}.apps" for resource in RESOURCES.values())
"""What --wait needs to see that a rollout is complete."""
HISTORY_RIGHTS = (
    "list pods, get pods/proxy (in the namespace of the watch)",
    "or, where no watch runs: list pods, list events (in the namespaces that are asked about)",
)
"""What --history needs, unless --watch-url says where the metrics are."""
_HELP = "\n\n".join(
    "\b\n" + "\n".join(lines)
    for lines in (
        (
            "What --wait can see, and what it cannot:",
            "  deployment/NAME, statefulset/NAME, daemonset/NAME (with -n): first the rollout, until it is complete by",
            "  its status, then the drains. Start it at once behind `kubectl rollout restart` or `kubectl apply`.",
            "  All else: the drains that have begun, and those that begin meanwhile. Start it for node/NAME while",
            "  `kubectl drain` runs.",
            "  Not seen is a drain that was over before, or that ends while the API server cannot be reached.",
        ),
        (
            "Exit codes with --wait:",
            "  0  all drains that it saw have finished",
            "  1  in some of them a worker was killed, cut, out of memory, or failed",
            "  2  the cluster cannot be asked, the rollout has stopped, or the end of a drain was not seen",
            "  3  the timeout is over, and drains are not",
        ),
        ("The rights that this needs:", *(f"  {right} (in the namespaces that are asked about)" for right in RIGHTS)),
        (
            "With --wait for a rollout also one of these; without it, only drains that have begun are waited for:",
            *(f"  {right}" for right in ROLLOUT_RIGHTS),
        ),
        ("With --history, in place of these:", *(f"  {right}" for right in HISTORY_RIGHTS)),
    )
)


class _TargetType(click.ParamType[Target]):
    """An object, as kubectl names it."""

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
@click.option("-n", "--namespace", "namespaces", multiple=True, metavar="NAME", help="Namespace; may be repeated.")
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces, as without -n.")
@click.option("-w", "--watch", is_flag=True, help="Go on: live in a terminal, else a line for each begin and end.")
@click.option("--wait", is_flag=True, help="Go on until the drains are over; the exit code says how.")
@click.option("--timeout", type=Duration(), metavar="DURATION", help="With --wait: the longest time, as 600 or 10m.")
@click.option("--history", is_flag=True, help="How drains went that are over, and what follows for grace periods.")
@click.option("--watch-url", metavar="URL", help="With --history: metrics of the watch, as http://127.0.0.1:8080.")
@click.option(
    "--watch-namespace",
    metavar="NAME",
    default=Names().namespace,
    show_default=True,
    help="With --history: where the watch runs.",
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
    """Show which protected pods drain, how long yet, and how it ended.

    Nothing is changed. The cluster is that of KUBECONFIG, or of ~/.kube/config. Times are those of the API server's
    clock. KIND/NAME names owners (deployment/emails, sts/import, job/report), nodes (node/node-1) or pods; of several,
    each one counts. The cluster does not keep drains that are over: --history tells what `graceful-worker watch` has
    counted or, where no watch runs, what is left of them in pods and Events.
    """
    if all_namespaces and namespaces:
        raise click.UsageError("-A and -n exclude each other")
    if timeout and not wait:
        raise click.UsageError("--timeout needs --wait")
    if wait and len(namespaces) != 1 and any(target.kind in RESOURCES for target in targets):
        raise click.UsageError("--wait for a rollout needs its namespace: -n NAME, once")
    places = tuple(dict.fromkeys(namespaces)) or ("",)
    if history:
        _check_history(targets, goes_on=watch or wait)
        sys.exit(_history(targets, places, context, watch_url, watch_namespace, as_json=output == "json"))
    if watch_url:
        raise click.UsageError("--watch-url needs --history")
    # Other commands need neither a client nor an event loop.
    import asyncio  # noqa: PLC0415

    from webhook.cli.drains_run import Request, run  # noqa: PLC0415
    from webhook.inspection.connection import CannotAsk  # noqa: PLC0415

    places = tuple(dict.fromkeys(namespaces)) or ("",)
    request = Request(
        targets,
        places,
        context,
        watch=watch,
        wait=wait,
        timeout=timeout,
        as_json=output == "json",
    )
    # A terminal is left as it was found, whoever ends the command.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        exit_code = asyncio.run(run(request))
    except CannotAsk as error:
        fail(str(error), CANNOT_ASK)
    except KeyboardInterrupt:
        exit_code = INTERRUPTED if wait else 0
    sys.exit(exit_code)


def _check_history(targets: tuple[Target, ...], *, goes_on: bool) -> None:
    if goes_on:
        raise click.UsageError("--history excludes --watch and --wait")
    for target in targets:
        if target.kind in ("node", "pod"):
            raise click.UsageError(f"{target}: a history is kept by owner, such as deployment/emails")


def _history(
    targets: tuple[Target, ...],
    namespaces: tuple[str, ...],
    context: str | None,
    watch_url: str | None,
    watch_namespace: str,
    *,
    as_json: bool,
) -> int:
    import asyncio  # noqa: PLC0415

    from webhook.cli.drains_history import HistoryRequest, show_history  # noqa: PLC0415
    from webhook.inspection.connection import CannotAsk  # noqa: PLC0415

    request = HistoryRequest(targets, namespaces, context, watch_url, watch_namespace, as_json=as_json)
    try:
        asyncio.run(show_history(request))
    except CannotAsk as error:
        fail(str(error), CANNOT_ASK)
    return 0
