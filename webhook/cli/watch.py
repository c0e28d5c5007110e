"""`graceful-worker watch`: the process that tells how the drains of a cluster go."""

from __future__ import annotations

import click

from webhook.cli.failure import fail
from webhook.cli.settings import setting
from webhook.inspection.observations import Names
from webhook.server.addresses import ANY_ADDRESS

RIGHTS = ("list and watch pods", "create events")


@click.command("watch", epilog=f"The rights that this needs, in all namespaces: {', '.join(RIGHTS)}.")
@setting("--host", default=ANY_ADDRESS, help="Address to listen on; ::, the default, is every one of IPv6 and IPv4.")
@setting("--port", type=click.IntRange(0, 65535), default=8080, help="Port to listen on, for plain HTTP.")
@setting("--namespace", default=Names().namespace, help="Namespace of the installation, which has no workers.")
@setting(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", help="What is logged."
)
def watch_command(host: str, port: int, namespace: str, log_level: str) -> None:
    """Watch the drains of protected pods: metrics, Events on their owners, and a log.

    It serves /metrics, /healthz and /readyz. The cluster is that of KUBECONFIG, or the one that this runs in. One
    process is enough for a cluster; a second one would tell everything twice.
    """
    # Other commands need no client.
    from webhook.inspection.connection import CannotAsk, connect, read_kubeconfig  # noqa: PLC0415
    from webhook.watch.watching import WatchOptions, watch  # noqa: PLC0415

    try:
        client = connect(read_kubeconfig(None))
        watch(client, WatchOptions(host, port, log_level, namespace))
    except CannotAsk as error:
        fail(str(error))
    except OSError as error:
        fail(f"port {port} of {host} cannot be listened on: {error.strerror}")
