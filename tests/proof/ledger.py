"""The ledger, with a line for the start and one for the end of each job, and its evaluation after a scenario."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """A line of a job: time (nanoseconds of the monotonic clock), `start`, `end` or `crash`, job, and pod."""

    when: int
    event: str
    job: str
    pod: str


@dataclass(frozen=True)
class Ledger:
    """A file to which jobs append, each line with one write; `read` returns its text."""

    read: Callable[[], str]

    def lines(self) -> list[Line]:
        whole, _, _ = self.read().rpartition("\n")
        fields = (line.split() for line in whole.splitlines())
        return [Line(int(when), event, job, pod) for when, event, job, pod in fields]

    def count(self, event: str) -> int:
        return sum(line.event == event for line in self.lines())

    def unfinished_jobs(self, pod: str) -> set[str]:
        """Return the jobs that a pod has started and not ended."""
        started: set[str] = set()
        for line in self.lines():
            if line.pod == pod:
                (started.add if line.event == "start" else started.discard)(line.job)
        return started


@dataclass(frozen=True)
class Balance:
    """What happened to the jobs that were sent."""

    sent: int
    ended: int
    lost: list[str]
    """Started, and never ended: killed during the message. The framework may deliver them again an hour later, but then
    the work is done twice."""
    repeated: list[str]
    """Ended more than once."""
    missing: list[str]
    """Never started, although workers were idle at the end: fetched by a worker that was then killed."""
    crashed: list[str]
    """Crashed their worker, as the scenario requires."""
    interrupted: list[str]
    """Attempts (job and pod) that started and did not end, even if another pod has handled the job since."""
    victims: list[str]
    """Jobs that a worker that the scenario itself killed was handling, or had prefetched."""


def balance(lines: Sequence[Line], sent: Collection[str], victims: Collection[str]) -> Balance:
    """Count the lost and the repeated jobs."""
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
    """Return the attempts that did not end, as JOB@POD."""
    open_attempts = Counter[str]()
    for line in lines:
        open_attempts[f"{line.job}@{line.pod}"] += 1 if line.event == "start" else -1
    return sorted(name for name, count in open_attempts.items() if count > 0)
