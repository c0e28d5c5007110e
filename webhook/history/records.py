"""What is known of past drains, by workload."""

from __future__ import annotations

import datetime
from collections.abc import Collection

import msgspec

from webhook.core.ownership import Owner
from webhook.drains.outcome import Outcome
from webhook.drains.targets import Target, is_selected
from webhook.watch.workloads import OTHER, Workload


class KilledCount(msgspec.Struct, frozen=True):
    """Workers killed at the end of their grace period; `after` is the longest such period, in seconds, if known."""

    outcome: Outcome
    cause: str
    count: int
    after: int | None = None


class DrainRecord(msgspec.Struct, frozen=True):
    """The past drains of a workload: counts, and times in seconds; None stands for what is not known."""

    workload: Workload
    outcomes: dict[Outcome, int]
    timed: int = 0
    """Drains whose length is known."""
    longest: float | None = None
    """The longest of them, of those that ended in time where there is one."""
    longest_run: float | None = None
    """The longest run of a worker in a loop."""
    grace: int | None = None
    kills: tuple[KilledCount, ...] = ()

    @property
    def drains(self) -> int:
        """Drains whose end is known."""
        return sum(self.outcomes.values()) - self.outcomes.get(Outcome.UNSEEN, 0)

    @property
    def owner(self) -> Owner | None:
        """The owner; None if several owners are counted together, or the pods have none."""
        is_one = self.workload.owner and self.workload.owner_kind != OTHER
        return Owner(self.workload.owner_kind, self.workload.owner) if is_one else None


class History(msgspec.Struct, frozen=True):
    """The past drains that a source knows."""

    source: str
    """The code of the kind of source: `watch` or `cluster`."""
    place: str
    since: datetime.datetime | None
    """When the source started to count drains; None if that is not known."""
    records: tuple[DrainRecord, ...]
    missing: tuple[str, ...] = ()
    """Why something is not known."""

    def observed_for(self, now: datetime.datetime) -> datetime.timedelta | None:
        """Return how long drains have been counted; None if that is not known."""
        return now - self.since if self.since else None


def select(history: History, namespaces: Collection[str], targets: Collection[Target]) -> History:
    """Return the part of a history that concerns these namespaces and owners; the empty namespace stands for all."""
    records = tuple(
        each
        for each in history.records
        if ("" in namespaces or each.workload.namespace in namespaces)
        and is_selected(targets, owner=Owner(each.workload.owner_kind, each.workload.owner), pod="", node="")
    )
    return msgspec.structs.replace(history, records=records)
