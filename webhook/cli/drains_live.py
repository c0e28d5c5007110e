"""The output of `drains --watch` in a terminal: progress bars, and how the latest drains ended."""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from webhook.core.pluralize import pluralize
from webhook.drains.clock import ServerClock
from webhook.drains.connection import Outage
from webhook.drains.outcome import LOST, Outcome
from webhook.drains.picture import Picture
from webhook.drains.report import how, left_of, outage_in_words, printable, row_of, used_of
from webhook.drains.tracker import Begun, Ended

SHOWN = datetime.timedelta(minutes=1)
"""How long a drain stays visible after its end."""
MOST_ENDED = 50
NEARLY_OVER = 0.8
"""Share of its time after which a drain is highlighted."""
BAR = 20
_COLUMNS = ("NAMESPACE", "POD", "OWNER", "WORKER", "CAUSE", "FOR", "TIME USED", "LEFT", "NODE")
_LEFT_OUT = ("NODE", "WORKER", "CAUSE", "OWNER", "NAMESPACE")
"""Columns to drop, in this order, if the terminal is too narrow."""
_WIDEST = 10_000
"""More columns than any terminal has: measuring with fewer would cap the result."""
_AROUND = 4
"""Lines that are not drains: title, header, the number of hidden drains, and the cursor's line."""
_Cells = dict[str, Text | ProgressBar]


class LiveTable:
    """A table that is redrawn in place."""

    def __init__(self, clock: ServerClock, context: str | None, console: Console | None = None) -> None:
        self._clock = clock
        self._context = context
        self._console = console or Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._ended: deque[tuple[datetime.datetime, Ended]] = deque(maxlen=MOST_ENDED)
        self._outage: Outage | None = None

    def __enter__(self) -> LiveTable:
        """Start drawing."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop drawing; the last table stays visible."""
        self._live.stop()

    def tell(self, event: Begun | Ended) -> None:
        """Remember how a drain ended."""
        if isinstance(event, Ended):
            self._ended.append((self._clock.now(), event))

    def connection(self, outage: Outage | None) -> None:
        """Remember how the connection is."""
        self._outage = outage

    def draw(self, picture: Picture) -> None:
        """Draw the drains in progress and those that ended recently, as far as there is room."""
        now = self._clock.now()
        ended = [event for at, event in reversed(self._ended) if now - at <= SHOWN]
        drains: list[Begun | Ended] = [*picture.draining, *ended]
        title = self._title(picture, now)
        # The sentence about the connection takes lines of its own.
        around = _AROUND + len(title.wrap(self._console, self._console.width)) - 1
        shown = drains[: max(self._console.height - around, 1)]
        rows = [_over(each) if isinstance(each, Ended) else _drain(each, now) for each in shown]
        self._live.update(_drawing(self._console, title, rows, len(drains) - len(shown)), refresh=True)

    def note(self, sentence: str) -> None:
        """Write a sentence above the table."""
        self._console.print(Text(sentence, style="yellow"))

    def _title(self, picture: Picture, now: datetime.datetime) -> Text:
        drains = pluralize(len(picture.draining), "drain") if picture.draining else "No drains."
        where = f"{self._context}: " if self._context else ""
        title = Text(f"{where}{drains}  ", style="bold")
        title.append(f"{now:%H:%M:%S} UTC", style="dim")
        if self._outage:
            title.append(f"\n{printable(outage_in_words(self._outage, now))}", style="bold red")
        return title


def _drawing(console: Console, title: Text, rows: Sequence[_Cells], left_out: int) -> Group:
    if not rows:
        return Group(title)
    columns = list(_COLUMNS)
    unbounded = console.options.update(width=_WIDEST)
    for name in _LEFT_OUT:
        if console.measure(_table(columns, rows), options=unbounded).maximum <= console.width:
            break
        columns.remove(name)
    more = [Text(f"… and {left_out} more", style="dim")] if left_out else []
    return Group(title, _table(columns, rows), *more)


def _table(columns: Sequence[str], rows: Sequence[_Cells]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(row.get(name, "") for name in columns))
    return table


def _drain(drain: Begun, now: datetime.datetime) -> _Cells:
    row, pod = row_of(drain, now), drain.pod
    used = used_of(pod, now)
    is_late = used >= NEARLY_OVER * pod.period
    style = "bold red" if left_of(pod, now) < 0 else "yellow" if is_late else "green"
    bar = ProgressBar(
        max(pod.period, 1), min(used, max(pod.period, 1)), width=BAR, complete_style=style, finished_style=style
    )
    return {
        "NAMESPACE": Text(row.namespace),
        "POD": Text(row.pod),
        "OWNER": Text(row.owner),
        "WORKER": Text(row.worker),
        "CAUSE": Text(row.cause),
        "FOR": Text(row.draining_for),
        "TIME USED": bar,
        "LEFT": Text(row.left, style=style),
        "NODE": Text(row.node),
    }


def _over(ended: Ended) -> _Cells:
    row = row_of(Begun(ended.pod, ended.cause), ended.pod.deadline)
    lost = ended.end.outcome in LOST or ended.end.outcome is Outcome.FAILED
    style = "bold red" if lost else "yellow" if ended.end.outcome is Outcome.UNSEEN else "green"
    return {
        "NAMESPACE": Text(row.namespace, style="dim"),
        "POD": Text(row.pod, style="dim"),
        "OWNER": Text(row.owner, style="dim"),
        "WORKER": Text(row.worker, style="dim"),
        "CAUSE": Text(row.cause, style="dim"),
        "LEFT": Text(how(ended), style=style),
        "NODE": Text(row.node, style="dim"),
    }
