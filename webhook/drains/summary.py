"""Counts the awaited drains by outcome, and determines the exit code of `drains --wait`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from webhook.core.formatting import pluralize
from webhook.drains.outcome import UNSUCCESSFUL, Outcome
from webhook.drains.tracker import DrainEnded, DrainEvent, DrainStarted

FINISHED, LOST_SOME, UNKNOWN, STILL_DRAINING = 0, 1, 2, 3


class DrainSummary:
    """Counts outcomes, and keeps the drains that ended badly or unobserved."""

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.ended_uids: set[str] = set()
        """The UIDs of the pods whose drains are over."""
        self._reported: list[DrainEnded] = []

    def add(self, event: DrainEvent) -> None:
        """Count a drain that has ended."""
        if isinstance(event, DrainStarted):
            return
        self.ended_uids.add(event.pod.uid)
        self.outcomes[event.result.outcome] += 1
        if event.result.outcome in UNSUCCESSFUL or event.result.outcome is Outcome.UNSEEN:
            self._reported.append(event)

    @property
    def exit_code(self) -> int:
        """Return the exit code for the ended drains: lost messages have priority."""
        if self.outcomes.keys() & UNSUCCESSFUL:
            return LOST_SOME
        return UNKNOWN if self.outcomes[Outcome.UNSEEN] else FINISHED

    def lines(self, draining: Collection[DrainStarted]) -> Iterator[str]:
        """Return the result in sentences."""
        if not self.outcomes and not draining:
            yield "No drain was observed."
            return
        counts = ", ".join(f"{self.outcomes[outcome]} {outcome.value}" for outcome in Outcome if self.outcomes[outcome])
        if counts:
            yield f"{pluralize(self.outcomes.total(), 'drain')} ended: {counts}."
        for ended in self._reported:
            pod = ended.pod
            yield f"{ended.result.outcome.value}: {pod.namespace}/{pod.name}. {ended.result.outcome.sentence}"
        for drain in draining:
            yield f"still draining: {drain.pod.namespace}/{drain.pod.name}"

    def as_event(self, draining: Collection[DrainStarted], exit_code: int) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            "event": "over",
            "exitCode": exit_code,
            "outcomes": {outcome.value: number for outcome, number in self.outcomes.items()},
            "draining": [f"{drain.pod.namespace}/{drain.pod.name}" for drain in draining],
        }
