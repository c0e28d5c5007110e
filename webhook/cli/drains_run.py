"""Runs `drains`: reads the cluster, shows its drains, and returns the exit code."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
import msgspec

from webhook.cli.drains_display import Lines
from webhook.drains.clock import ServerClock, track_server_clock
from webhook.drains.errors import WaitFailed
from webhook.drains.report import as_object, no_drains_message, table
from webhook.drains.selection import Target
from webhook.drains.session import Display, Session
from webhook.drains.summary import STILL_DRAINING, UNKNOWN, DrainSummary
from webhook.inspection.connection import CannotAsk, connect, read_kubeconfig


class Request(msgspec.Struct, frozen=True):
    """The command line's options; the empty namespace means all namespaces."""

    targets: tuple[Target, ...]
    namespaces: tuple[str, ...]
    context: str | None = None
    watch: bool = False
    wait: bool = False
    timeout: int | None = None
    as_json: bool = False


class _Stop(msgspec.Struct, frozen=True):
    """Why the command ends before all drains are over."""

    exit_code: int
    sentence: str


async def run(request: Request) -> int:
    """Show drains and return the exit code.

    Raises:
        CannotAsk: the cluster cannot be read.

    """
    config = read_kubeconfig(request.context)
    async with connect(config) as client:
        clock = track_server_clock(client)
        session = Session(client, request.namespaces, request.targets)
        if not request.watch and not request.wait:
            await session.list_drains()
            _show(session, clock, config.context_name, request)
            return 0
        with _display(clock, config.context_name, request) as display:
            if not request.wait:
                await session.watch(display)
            summary = DrainSummary()
            stop = await _wait(session, display, summary, request.timeout)
        return _conclude(session, summary, stop, request)


async def _wait(session: Session, display: Display, summary: DrainSummary, timeout: int | None) -> _Stop | None:
    try:
        async with asyncio.timeout(timeout):
            await session.watch(display, summary)
    except (WaitFailed, CannotAsk) as error:
        return _Stop(UNKNOWN, str(error))
    except TimeoutError:
        return _Stop(STILL_DRAINING, f"the timeout of {timeout} s has expired")
    return None


def _show(session: Session, clock: ServerClock, context: str | None, request: Request) -> None:
    selected, now = session.selected, clock.now()
    if request.as_json:
        click.echo(json.dumps(as_object(selected.draining, now, context, selected.protected_pods), indent=2))
        return
    if not selected.draining:
        click.echo(no_drains_message(selected.protected_pods, request.namespaces, request.targets))
        return
    for line, is_overdue in table(selected.draining, now):
        click.echo(click.style(line, fg="red", bold=True) if is_overdue else line)


@contextmanager
def _display(clock: ServerClock, context: str | None, request: Request) -> Iterator[Display]:
    has_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if not request.watch or request.as_json or not has_terminal:
        yield Lines(clock, as_json=request.as_json)
        return
    # Imported here because rich is slow to load and nothing else needs it.
    from webhook.cli.drains_live import LiveTable  # noqa: PLC0415

    with LiveTable(clock, context) as live:
        yield live


def _conclude(session: Session, summary: DrainSummary, stop: _Stop | None, request: Request) -> int:
    draining = session.selected.draining
    exit_code = summary.exit_code or (stop.exit_code if stop else 0)
    if request.as_json:
        click.echo(json.dumps(summary.as_event(draining, exit_code), ensure_ascii=False))
    else:
        click.echo("\n".join(summary.lines(draining)))
    if stop:
        click.echo(stop.sentence, err=True)
    return exit_code
