"""`graceful-worker watch`: reports the drains of a cluster as metrics, Events and logs."""

from __future__ import annotations

import click

from webhook.cli.failure import fail
from webhook.cli.settings import setting
from webhook.inspection.snapshot import Names
from webhook.server.listener import ANY_ADDRESS

PERMISSIONS = ("list and watch pods", "create events")


@click.command("watch", epilog=f"Required permissions, in all namespaces: {', '.join(PERMISSIONS)}.")
@setting("--host", default=ANY_ADDRESS, help="Address to listen on; :: is every IPv6 and IPv4 address.")
@setting("--port", type=click.IntRange(0, 65535), default=8080, help="Port to listen on (plain HTTP).")
@setting("--namespace", default=Names().namespace, help="Namespace of the installation; its pods are never workers.")
@setting("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", help="Log level.")
def watch_command(host: str, port: int, namespace: str, log_level: str) -> None:
    """Watch the drains of protected pods; report them as metrics, as Events on the pods' owners, and in the log.

    Serves /metrics, /healthz and /readyz. It watches the cluster of KUBECONFIG, or the cluster it runs in. Run one
    process per cluster: a second one would report everything twice.
    """
    # Imported here because other commands need no client.
    from webhook.kubernetes.errors import ClusterUnavailable  # noqa: PLC0415
    from webhook.kubernetes.kubeconfig import connect, read_kubeconfig  # noqa: PLC0415
    from webhook.watch.main import WatchOptions, run  # noqa: PLC0415

    try:
        client = connect(read_kubeconfig(None))
        run(client, WatchOptions(host, port, log_level, namespace))
    except ClusterUnavailable as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot listen on port {port} of {host}: {error.strerror}")
