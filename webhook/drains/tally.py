"""Counts the awaited drains by outcome, and determines the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from webhook.core.pluralize import pluralize
from webhook.drains.outcome import LOST, Outcome
from webhook.drains.tracker import Begun, Ended

FINISHED, LOST_SOME, UNKNOWN, STILL_DRAINING = 0, 1, 2, 3
_BAD = LOST | {Outcome.FAILED}


class Tally:
    """Counts outcomes, and keeps the drains that ended badly or unobserved."""

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.over: set[str] = set()
        """The UIDs of the pods whose drains are over."""
        self._named: list[Ended] = []

    def add(self, event: Begun | Ended) -> None:
        """Take an event of a drain."""
        if isinstance(event, Begun):
            return
        self.over.add(event.pod.uid)
        self.outcomes[event.end.outcome] += 1
        if event.end.outcome in _BAD or event.end.outcome is Outcome.UNSEEN:
            self._named.append(event)

    @property
    def exit_code(self) -> int:
        """Return the exit code for the ended drains: lost messages have priority."""
        if self.outcomes.keys() & _BAD:
            return LOST_SOME
        return UNKNOWN if self.outcomes[Outcome.UNSEEN] else FINISHED

    def lines(self, draining: Collection[Begun]) -> Iterator[str]:
        """Return the result in sentences."""
        if not self.outcomes and not draining:
            yield "No drain was observed."
            return
        number = self.outcomes.total()
        how = ", ".join(f"{self.outcomes[outcome]} {outcome.value}" for outcome in Outcome if self.outcomes[outcome])
        if how:
            yield f"{pluralize(number, 'drain')} ended: {how}."
        for ended in self._named:
            pod = ended.pod
            yield f"{ended.end.outcome.value}: {pod.namespace}/{pod.name}. {ended.end.outcome.sentence}"
        for drain in draining:
            yield f"still draining: {drain.pod.namespace}/{drain.pod.name}"

    def as_event(self, draining: Collection[Begun], exit_code: int) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            "event": "over",
            "exitCode": exit_code,
            "outcomes": {outcome.value: number for outcome, number in self.outcomes.items()},
            "draining": [f"{drain.pod.namespace}/{drain.pod.name}" for drain in draining],
        }
