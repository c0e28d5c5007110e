"""The wall clock, in UTC."""

from __future__ import annotations

import datetime


def wall_clock() -> datetime.datetime:
    """Return the time."""
    return datetime.datetime.now(datetime.UTC)
