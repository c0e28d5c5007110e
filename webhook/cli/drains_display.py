"""The output of `drains` without a terminal: a line for each drain that starts or ends."""

from __future__ import annotations

import json
from typing import Any

import click

from webhook.drains.clock import ServerClock
from webhook.drains.health import Outage
from webhook.drains.report import as_event, connection_event, connection_line, event_line
from webhook.drains.selected_drains import SelectedDrains
from webhook.drains.tracker import DrainEvent


class Lines:
    """Lines of text or JSON."""

    def __init__(self, clock: ServerClock, *, as_json: bool) -> None:
        self._clock = clock
        self._as_json = as_json
        self._outage: Outage | None = None

    def show_event(self, event: DrainEvent) -> None:
        """Write a line."""
        now = self._clock.now()
        click.echo(compact(as_event(event, now)) if self._as_json else event_line(event, now))

    def show_outage(self, outage: Outage | None) -> None:
        """Write a line when the API server is no longer heard, and one when it is heard again."""
        before, self._outage = self._outage, outage
        if (before is None) == (outage is None):
            return
        now = self._clock.now()
        click.echo(compact(connection_event(outage, now)) if self._as_json else connection_line(outage, now))

    def redraw(self, selected: SelectedDrains) -> None:
        """Write nothing: lines are never redrawn."""

    def show_message(self, sentence: str) -> None:
        """Write a sentence to standard error."""
        click.echo(sentence, err=True)


def compact(value: dict[str, Any]) -> str:
    """Write JSON on one line."""
    return json.dumps(value, ensure_ascii=False)
