"""What has happened to the certificates, for whoever counts it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass


def wall_clock() -> datetime.datetime:
    """Return the time."""
    return datetime.datetime.now(datetime.UTC)


@dataclass
class Events:
    """Counts since the start, and when what is in use ends."""

    rotations: int = 0
    """CAs that took another one's place."""
    healings: int = 0
    """Bundles that somebody else had changed, and that were put right."""
    failures: int = 0
    """Looks or steps that failed."""
    is_cared_for: bool = True
    """Whether anybody still looks after the certificates."""
    clock_skew: float | None = None
    """Seconds by which the own clock is ahead of the API server's; None where that does not say what time it is."""
    leaf_ends: datetime.datetime | None = None
    ca_ends: datetime.datetime | None = None
