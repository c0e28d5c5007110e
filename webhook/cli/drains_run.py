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
from webhook.drains.clock import ServerClock
from webhook.drains.report import as_object, nothing, table
from webhook.drains.selection import Target
from webhook.drains.session import CannotWait, Display, Session, clock_of
from webhook.drains.tally import STILL_DRAINING, UNKNOWN, Tally
from webhook.kubernetes.errors import ClusterUnavailable
from webhook.kubernetes.kubeconfig import connect, read_kubeconfig


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
        ClusterUnavailable: the cluster cannot be read.

    """
    config = read_kubeconfig(request.context)
    async with connect(config) as client:
        clock = clock_of(client)
        session = Session(client, request.namespaces, request.targets)
        if not request.watch and not request.wait:
            await session.look()
            _show(session, clock, config.context_name, request)
            return 0
        with _display(clock, config.context_name, request) as display:
            if not request.wait:
                await session.attend(display)
            tally = Tally()
            stop = await _wait(session, display, tally, request.timeout)
        return _conclude(session, tally, stop, request)


async def _wait(session: Session, display: Display, tally: Tally, timeout: int | None) -> _Stop | None:
    try:
        async with asyncio.timeout(timeout):
            await session.attend(display, tally)
    except (CannotWait, ClusterUnavailable) as error:
        return _Stop(UNKNOWN, str(error))
    except TimeoutError:
        return _Stop(STILL_DRAINING, f"the timeout of {timeout} s has expired")
    return None


def _show(session: Session, clock: ServerClock, context: str | None, request: Request) -> None:
    picture, now = session.picture, clock.now()
    if request.as_json:
        click.echo(json.dumps(as_object(picture.draining, now, context, picture.protected), indent=2))
        return
    if not picture.draining:
        click.echo(nothing(picture.protected, request.namespaces, request.targets))
        return
    for line, is_overdue in table(picture.draining, now):
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


def _conclude(session: Session, tally: Tally, stop: _Stop | None, request: Request) -> int:
    draining = session.picture.draining
    exit_code = tally.exit_code or (stop.exit_code if stop else 0)
    if request.as_json:
        click.echo(json.dumps(tally.as_event(draining, exit_code), ensure_ascii=False))
    else:
        click.echo("\n".join(tally.lines(draining)))
    if stop:
        click.echo(stop.sentence, err=True)
    return exit_code
