"""Runs `drains --history`: asks the watch, or else the cluster, and prints what they know of drains that are over."""

from __future__ import annotations

import json

import click
import msgspec
from httpx2 import AsyncClient

from certs.clock import wall_clock
from webhook.drains.selection import Target
from webhook.history.asking import Unknown, ask_address, ask_cluster, ask_through_api_server
from webhook.history.evidence import History
from webhook.history.report import as_object, text_of
from webhook.history.selection import select
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
        click.echo("\n".join(text_of(history, now)))


async def _at_address(address: str) -> tuple[History, str | None]:
    async with AsyncClient(timeout=TIMEOUT) as client:
        try:
            return await ask_address(client, address), None
        except Unknown as unknown:
            raise CannotAsk(str(unknown)) from None


async def _of_cluster(request: HistoryRequest) -> tuple[History, str | None]:
    config = read_kubeconfig(request.context)
    async with connect(config) as client:
        try:
            history = await ask_through_api_server(client, request.watch_namespace)
        except Unknown as unknown:
            history = await ask_cluster(client, request.namespaces, (f"what a watch has counted: {unknown}",))
        return history, config.context_name
