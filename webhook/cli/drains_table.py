"""The output of `drains --watch` in a terminal: progress bars, and how the latest drains ended."""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from webhook.core.formatting import pluralize
from webhook.drains.clock import ServerClock
from webhook.drains.health import Outage
from webhook.drains.outcome import UNSUCCESSFUL, Outcome
from webhook.drains.report import Row, outage_message, outcome_text, printable, seconds_left, seconds_used, table_row
from webhook.drains.selected_drains import SelectedDrains
from webhook.drains.tracker import DrainEnded, DrainEvent, DrainStarted

SHOW_ENDED = datetime.timedelta(minutes=1)
"""How long a drain stays visible after its end."""
MAX_ENDED = 50
WARN_USED_SHARE = 0.8
"""Share of its time after which a drain is highlighted."""
BAR_WIDTH = 20
_COLUMNS = ("NAMESPACE", "POD", "OWNER", "WORKER", "CAUSE", "FOR", "TIME USED", "LEFT", "NODE")
_DROPPABLE_COLUMNS = ("NODE", "WORKER", "CAUSE", "OWNER", "NAMESPACE")
"""Columns to drop, in this order, if the terminal is too narrow."""
_WIDEST = 10_000
"""More columns than any terminal has: measuring with fewer would cap the result."""
_OTHER_LINES = 4
"""Lines that are not drains: title, header, the number of hidden drains, and the cursor's line."""
_Cells = dict[str, Text | ProgressBar]


class LiveTable:
    """A table that is redrawn in place."""

    def __init__(self, clock: ServerClock, context: str | None, console: Console | None = None) -> None:
        self._clock = clock
        self._context = context
        self._console = console or Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._ended: deque[tuple[datetime.datetime, DrainEnded]] = deque(maxlen=MAX_ENDED)
        self._outage: Outage | None = None

    def __enter__(self) -> LiveTable:
        """Start drawing."""
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop drawing; the last table stays visible."""
        self._live.stop()

    def show_event(self, event: DrainEvent) -> None:
        """Remember how a drain ended."""
        if isinstance(event, DrainEnded):
            self._ended.append((self._clock.now(), event))

    def show_outage(self, outage: Outage | None) -> None:
        """Remember how the connection is."""
        self._outage = outage

    def redraw(self, selected: SelectedDrains) -> None:
        """Draw the drains in progress and those that ended recently, as far as there is room."""
        now = self._clock.now()
        ended = [event for at, event in reversed(self._ended) if now - at <= SHOW_ENDED]
        drains: list[DrainEvent] = [*selected.draining, *ended]
        title = self._title(selected, now)
        # The sentence about the connection takes lines of its own.
        other_lines = _OTHER_LINES + len(title.wrap(self._console, self._console.width)) - 1
        shown = drains[: max(self._console.height - other_lines, 1)]
        rows = [_ended_row(each) if isinstance(each, DrainEnded) else _draining_row(each, now) for each in shown]
        self._live.update(_layout(self._console, title, rows, len(drains) - len(shown)), refresh=True)

    def show_message(self, sentence: str) -> None:
        """Write a sentence above the table."""
        self._console.print(Text(sentence, style="yellow"))

    def _title(self, selected: SelectedDrains, now: datetime.datetime) -> Text:
        drains = pluralize(len(selected.draining), "drain") if selected.draining else "No drains."
        where = f"{self._context}: " if self._context else ""
        title = Text(f"{where}{drains}  ", style="bold")
        title.append(f"{now:%H:%M:%S} UTC", style="dim")
        if self._outage:
            title.append(f"\n{printable(outage_message(self._outage, now))}", style="bold red")
        return title


def _layout(console: Console, title: Text, rows: Sequence[_Cells], hidden: int) -> Group:
    if not rows:
        return Group(title)
    columns = list(_COLUMNS)
    unbounded = console.options.update(width=_WIDEST)
    for name in _DROPPABLE_COLUMNS:
        if console.measure(_table(columns, rows), options=unbounded).maximum <= console.width:
            break
        columns.remove(name)
    more = [Text(f"… and {hidden} more", style="dim")] if hidden else []
    return Group(title, _table(columns, rows), *more)


def _table(columns: Sequence[str], rows: Sequence[_Cells]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(row.get(name, "") for name in columns))
    return table


def _draining_row(drain: DrainStarted, now: datetime.datetime) -> _Cells:
    row, pod = table_row(drain, now), drain.pod
    used = seconds_used(pod, now)
    is_late = used >= WARN_USED_SHARE * pod.period
    style = "bold red" if seconds_left(pod, now) < 0 else "yellow" if is_late else "green"
    bar = ProgressBar(
        max(pod.period, 1), min(used, max(pod.period, 1)), width=BAR_WIDTH, complete_style=style, finished_style=style
    )
    return {**_texts(row), "FOR": Text(row.draining_for), "TIME USED": bar, "LEFT": Text(row.left, style=style)}


def _ended_row(ended: DrainEnded) -> _Cells:
    row = table_row(DrainStarted(ended.pod, ended.cause), ended.pod.deadline)
    outcome = ended.result.outcome
    style = "bold red" if outcome in UNSUCCESSFUL else "yellow" if outcome is Outcome.UNSEEN else "green"
    return {**_texts(row, "dim"), "LEFT": Text(outcome_text(ended), style=style)}


def _texts(row: Row, style: str = "") -> _Cells:
    texts = {
        "NAMESPACE": row.namespace,
        "POD": row.pod,
        "OWNER": row.owner,
        "WORKER": row.worker,
        "CAUSE": row.cause,
        "NODE": row.node,
    }
    return {name: Text(text, style=style) for name, text in texts.items()}
