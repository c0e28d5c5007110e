"""Runs `drains --history`: asks the watch, or else the cluster, and prints what they know of drains that are over."""

from __future__ import annotations

import json

import click
import msgspec
from httpx2 import AsyncClient

from certs.events import wall_clock
from webhook.drains.selection import Target
from webhook.history.errors import WatchUnavailable
from webhook.history.records import History, select
from webhook.history.report import as_object, format_history
from webhook.history.sources import read_from_cluster, read_from_url, read_from_watch_pod
from webhook.inspection.connection import TIMEOUT, CannotAsk, connect, read_kubeconfig


class HistoryRequest(msgspec.Struct, frozen=True):
    """What the command line asks for; the empty namespace stands for all."""

    targets: tuple[Target, ...]
    namespaces: tuple[str, ...]
    context: str | None
    watch_url: str | None
    watch_namespace: str
    as_json: bool


async def show_history(request: HistoryRequest) -> None:
    """Print the history.

    Raises:
        CannotAsk: neither a watch nor the cluster can be asked.

    """
    history, context = await (_at_address(request.watch_url) if request.watch_url else _of_cluster(request))
    history, now = select(history, request.namespaces, request.targets), wall_clock()
    if request.as_json:
        click.echo(json.dumps(as_object(history, now, context), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(format_history(history, now)))


async def _at_address(address: str) -> tuple[History, str | None]:
    async with AsyncClient(timeout=TIMEOUT) as client:
        try:
            return await read_from_url(client, address), None
        except WatchUnavailable as unknown:
            raise CannotAsk(str(unknown)) from None


async def _of_cluster(request: HistoryRequest) -> tuple[History, str | None]:
    config = read_kubeconfig(request.context)
    async with connect(config) as client:
        try:
            history = await read_from_watch_pod(client, request.watch_namespace)
        except WatchUnavailable as unknown:
            history = await read_from_cluster(client, request.namespaces, (f"what a watch has counted: {unknown}",))
        return history, config.context_name
