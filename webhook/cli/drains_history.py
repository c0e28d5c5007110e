"""Runs `drains --history`: reads past drains from the watch, or else from the cluster, and prints them."""

from __future__ import annotations

import json

import click
import msgspec
from httpx2 import AsyncClient

from certs.clock import wall_clock
from webhook.drains.targets import Target
from webhook.history.errors import WatchUnavailable
from webhook.history.records import History, select
from webhook.history.report import as_object, format_history
from webhook.history.sources import read_from_cluster, read_from_url, read_from_watch_pod
from webhook.kubernetes.errors import ClusterUnavailable
from webhook.kubernetes.kubeconfig import TIMEOUT, connect, read_kubeconfig


class HistoryRequest(msgspec.Struct, frozen=True):
    """The command line's options; the empty namespace means all namespaces."""

    targets: tuple[Target, ...]
    namespaces: tuple[str, ...]
    context: str | None
    watch_url: str | None
    watch_namespace: str
    as_json: bool


async def show_history(request: HistoryRequest) -> int:
    """Print the history, and return the exit code.

    Raises:
        ClusterUnavailable: neither a watch nor the cluster can be read.

    """
    history, context = await (_from_url(request.watch_url) if request.watch_url else _from_cluster(request))
    history, now = select(history, request.namespaces, request.targets), wall_clock()
    if request.as_json:
        click.echo(json.dumps(as_object(history, now, context), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(format_history(history, now)))
    return 0


async def _from_url(url: str) -> tuple[History, str | None]:
    async with AsyncClient(timeout=TIMEOUT) as client:
        try:
            return await read_from_url(client, url), None
        except WatchUnavailable as unknown:
            raise ClusterUnavailable(str(unknown)) from None


async def _from_cluster(request: HistoryRequest) -> tuple[History, str | None]:
    config = read_kubeconfig(request.context)
    async with connect(config) as client:
        try:
            history = await read_from_watch_pod(client, request.watch_namespace)
        except WatchUnavailable as unknown:
            history = await read_from_cluster(client, request.namespaces, (f"what a watch has counted: {unknown}",))
        return history, config.context_name
