"""The ledger: a line when a job starts, and one when it ends; and its evaluation after a scenario."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """What a job wrote: when (nanoseconds of the monotonic clock), `start`, `end` or `crash`, which job, which pod."""

    when: int
    event: str
    job: str
    pod: str


@dataclass(frozen=True)
class Ledger:
    """A file that jobs append to, each line by one write; `read` returns its text."""

    read: Callable[[], str]

    def lines(self) -> list[Line]:
        whole, _, _ = self.read().rpartition("\n")
        fields = (line.split() for line in whole.splitlines())
        return [Line(int(when), event, job, pod) for when, event, job, pod in fields]

    def count(self, event: str) -> int:
        return sum(line.event == event for line in self.lines())

    def in_hand(self, pod: str) -> set[str]:
        """Return the jobs that a pod has started and not ended."""
        started: set[str] = set()
        for line in self.lines():
            if line.pod == pod:
                (started.add if line.event == "start" else started.discard)(line.job)
        return started


@dataclass(frozen=True)
class Balance:
    """What became of the jobs that were sent."""

    sent: int
    ended: int
    lost: list[str]
    """Started, and never ended: killed in mid-message. Whether the framework hands them out again an hour later is its
    own affair; then the work is done twice."""
    repeated: list[str]
    """Ended more than once."""
    missing: list[str]
    """Never started, though workers were idle at the end: fetched by a worker that was killed then."""
    crashed: list[str]
    """Ended their worker by themselves, as the scenario wanted it."""
    interrupted: list[str]
    """Attempts (job and pod) that started and came to no end, even if another pod has handled the job since."""
    victims: list[str]
    """In the hand of a worker that the scenario itself killed, or fetched ahead by it."""


def balance(lines: Sequence[Line], sent: Collection[str], victims: Collection[str]) -> Balance:
    """Count what was lost and repeated."""
    ends = Counter(line.job for line in lines if line.event == "end")
    crashed = {line.job for line in lines if line.event == "crash"}
    started = {line.job for line in lines if line.event == "start"}
    unfinished = started - ends.keys() - crashed
    unstarted = sorted(set(sent) - started)
    return Balance(
        sent=len(sent),
        ended=len(ends),
        lost=sorted(unfinished - set(victims)),
        repeated=sorted(job for job, times in ends.items() if times > 1),
        missing=[] if victims else unstarted,
        crashed=sorted(crashed),
        interrupted=[name for name in _interrupted(lines) if name.split("@")[0] not in victims],
        victims=sorted(unfinished & set(victims)) + (unstarted if victims else []),
    )


def _interrupted(lines: Sequence[Line]) -> list[str]:
    """Find the attempts that came to no end, as JOB@POD."""
    open_attempts = Counter[str]()
    for line in lines:
        open_attempts[f"{line.job}@{line.pod}"] += 1 if line.event == "start" else -1
    return sorted(name for name, count in open_attempts.items() if count > 0)
