"""Runs `drains`: reads the cluster and shows its drains, once or continuously."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from webhook.drains.clock import ServerClock, track_server_clock
from webhook.drains.errors import WaitFailed
from webhook.drains.health import Outage
from webhook.drains.report import (
    as_event,
    as_object,
    connection_event,
    connection_line,
    event_line,
    no_drains_message,
    table,
)
from webhook.drains.selected_drains import SelectedDrains
from webhook.drains.session import Display, Session
from webhook.drains.summary import STILL_DRAINING, UNKNOWN, DrainSummary
from webhook.drains.targets import Target
from webhook.drains.tracker import DrainEvent
from webhook.kubernetes.errors import ClusterUnavailable
from webhook.kubernetes.kubeconfig import connect, read_kubeconfig


class DrainsRequest(msgspec.Struct, frozen=True):
    """The command line's options; the empty namespace means all namespaces."""

    targets: tuple[Target, ...]
    namespaces: tuple[str, ...]
    context: str | None = None
    watch: bool = False
    wait: bool = False
    timeout: int | None = None
    as_json: bool = False


async def show_drains(request: DrainsRequest) -> int:
    """Show drains and return the exit code.

    Raises:
        ClusterUnavailable: the cluster cannot be read.

    """
    config = read_kubeconfig(request.context)
    async with connect(config) as client:
        clock = track_server_clock(client)
        session = Session(client, request.namespaces, request.targets)
        if not request.watch and not request.wait:
            await session.list_drains()
            _print_drains(session, clock, config.context_name, request)
            return 0
        with _display(clock, config.context_name, request) as display:
            if not request.wait:
                await session.watch(display)
            summary = DrainSummary()
            exit_code, trouble = await _wait(session, display, summary, request.timeout)
        return _print_summary(session, summary, summary.exit_code or exit_code, trouble, as_json=request.as_json)


async def _wait(session: Session, display: Display, summary: DrainSummary, timeout: int | None) -> tuple[int, str]:
    """Return the exit code and a sentence if the command ends before all drains are over, else 0 and nothing."""
    try:
        async with asyncio.timeout(timeout):
            await session.watch(display, summary)
    except (WaitFailed, ClusterUnavailable) as error:
        return UNKNOWN, str(error)
    except TimeoutError:
        return STILL_DRAINING, f"the timeout of {timeout} s has expired"
    return 0, ""


def _print_drains(session: Session, clock: ServerClock, context: str | None, request: DrainsRequest) -> None:
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
def _display(clock: ServerClock, context: str | None, request: DrainsRequest) -> Iterator[Display]:
    has_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if not request.watch or request.as_json or not has_terminal:
        yield DrainLines(clock, as_json=request.as_json)
        return
    # Imported here because rich is slow to load and nothing else needs it.
    from webhook.cli.drains_table import LiveTable  # noqa: PLC0415

    with LiveTable(clock, context) as live:
        yield live


def _print_summary(session: Session, summary: DrainSummary, exit_code: int, trouble: str, *, as_json: bool) -> int:
    draining = session.selected.draining
    if as_json:
        click.echo(_compact_json(summary.as_event(draining, exit_code)))
    else:
        click.echo("\n".join(summary.lines(draining)))
    if trouble:
        click.echo(trouble, err=True)
    return exit_code


class DrainLines:
    """The output without a terminal: a line of text or JSON for each drain that starts or ends."""

    def __init__(self, clock: ServerClock, *, as_json: bool) -> None:
        self._clock = clock
        self._as_json = as_json
        self._outage: Outage | None = None

    def show_event(self, event: DrainEvent) -> None:
        """Write a line."""
        now = self._clock.now()
        click.echo(_compact_json(as_event(event, now)) if self._as_json else event_line(event, now))

    def show_outage(self, outage: Outage | None) -> None:
        """Write a line when the API server is no longer heard, and one when it is heard again."""
        before, self._outage = self._outage, outage
        if (before is None) == (outage is None):
            return
        now = self._clock.now()
        click.echo(_compact_json(connection_event(outage, now)) if self._as_json else connection_line(outage, now))

    def redraw(self, selected: SelectedDrains) -> None:
        """Write nothing: lines are never redrawn."""

    def show_message(self, sentence: str) -> None:
        """Write a sentence to standard error."""
        click.echo(sentence, err=True)


def _compact_json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
