"""Writes durations: as kubectl does, as annotations take them, and in words."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from webhook.core.formatting import pluralize

_KUBECTL_UNITS = ((3600, "h"), (60, "m"), (1, "s"))


def format_duration(seconds: int) -> str:
    """Format a duration like kubectl: 42s, 9m18s, 1h."""
    return _format(seconds, _KUBECTL_UNITS)


def annotation_duration(seconds: int) -> str:
    """Format a duration for an annotation: 5400 is 1h30m."""
    return _format(seconds, ((86400, "d"), *_KUBECTL_UNITS))


def _format(seconds: int, units: Iterable[tuple[int, str]]) -> str:
    parts = []
    for size, unit in units:
        count, seconds = divmod(seconds, size)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def approximate_duration(duration: datetime.timedelta) -> str:
    """Write a long duration in its largest unit: 12 days, 3 hours, 5 minutes."""
    seconds = int(duration.total_seconds())
    for size, noun in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return pluralize(seconds // size, noun)
    return pluralize(max(seconds, 0), "second")
