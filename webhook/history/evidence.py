"""What is known of the drains of an owner that are over."""

from __future__ import annotations

import datetime

import msgspec

from webhook.core.ownership import Owner
from webhook.drains.outcome import Outcome
from webhook.watch.workloads import OTHER, Workload


class Kill(msgspec.Struct, frozen=True):
    """Workers that were killed when their time was over; `after` is the longest time that they had, if it is known."""

    outcome: Outcome
    cause: str
    count: int
    after: int | None = None


class Evidence(msgspec.Struct, frozen=True):
    """The drains of one group of pods: numbers, and times in seconds; None stands for what is not known."""

    workload: Workload
    outcomes: dict[Outcome, int]
    timed: int = 0
    """Drains whose length is known."""
    longest: float | None = None
    """The longest of them, of those that ended in time where there is one."""
    longest_run: float | None = None
    """The longest run of a worker in a loop."""
    grace: int | None = None
    kills: tuple[Kill, ...] = ()

    @property
    def drains(self) -> int:
        """Drains whose end is known."""
        return sum(self.outcomes.values()) - self.outcomes.get(Outcome.UNSEEN, 0)

    @property
    def owner(self) -> Owner | None:
        """The owner; None where many owners are counted together, or the pods have none."""
        is_one = self.workload.owner and self.workload.owner_kind != OTHER
        return Owner(self.workload.owner_kind, self.workload.owner) if is_one else None


class History(msgspec.Struct, frozen=True):
    """All that a source knows."""

    source: str
    """The code of the kind of source: `watch` or `cluster`."""
    place: str
    since: datetime.datetime | None
    """From when on drains are counted; None where that is not known."""
    evidence: tuple[Evidence, ...]
    missing: tuple[str, ...] = ()
    """Why something is not known."""
