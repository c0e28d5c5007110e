"""How a drain has ended: told from the last that was seen of the pod, and never guessed."""

from __future__ import annotations

import datetime
from enum import Enum

import msgspec

from webhook.drains.pods import ContainerEnd, DrainingPod

KILLED, TERMINATED, INTERRUPTED = 128 + 9, 128 + 15, 128 + 2
"""Exit codes of a process that a signal has ended, or that says so: KILL, TERM, INT."""
OUT_OF_MEMORY = "OOMKilled"
AT_THE_DEADLINE = datetime.timedelta(seconds=3)
"""By how much a kill at the deadline may come before it: times are in whole seconds, and clocks differ."""


class Outcome(Enum):
    """How a drain has ended; its value is the code that metrics and scripts read."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> Outcome:
        """Make the code the member's value."""
        member = object.__new__(cls)
        member._value_ = code
        member.sentence = sentence
        return member

    FINISHED = "finished", "The worker ended by itself."
    SIGNALLED = "signalled", "The worker ended with a signal's exit code: by its own handler, or for want of one."
    FAILED = "failed", "The worker ended with an error."
    OOM = "oom", "The worker ran out of memory."
    CUT = "cut", "The worker was killed when the time was over, which somebody had cut short."
    KILLED = "killed", "The worker was killed when its time was over."
    UNSEEN = "unseen", "The pod went without a word of how its worker ended."


_WORST_LAST = (Outcome.FINISHED, Outcome.SIGNALLED, Outcome.FAILED, Outcome.OOM, Outcome.CUT, Outcome.KILLED)
LOST = frozenset({Outcome.OOM, Outcome.CUT, Outcome.KILLED})
"""Outcomes by which a message may be lost."""


class End(msgspec.Struct, frozen=True):
    """How and when a drain has ended."""

    outcome: Outcome
    seconds: float | None
    """From the deletion to the end of the last worker; None where that was not seen."""
    sidecar_seconds: float | None
    """From there to the end of the last other container; None where there is none."""
    given: int | None = None
    """Seconds that the drain had; None where that was not seen."""


NOTHING_SEEN = End(Outcome.UNSEEN, None, None)


def end_of(pod: DrainingPod) -> End:
    """Tell from the last update of a pod how its drain has ended."""
    ends = pod.worker_ends
    times = [end.at for end in ends if end.at]
    if not pod.workers or len(ends) < len(pod.workers) or len(times) < len(ends):
        return NOTHING_SEEN
    if pod.is_removed:
        return _end_without_a_beginning(pod, ends)
    outcome = max((_outcome(pod, end) for end in ends), key=_WORST_LAST.index)
    last = max(times)
    others = [end.at for name, end in pod.ends.items() if name not in pod.workers and end.at and end.at >= pod.begun]
    sidecars = max((max(others) - last).total_seconds(), 0.0) if others else None
    seconds = max((last - pod.begun).total_seconds(), 0.0)
    return End(outcome, seconds, sidecars, _given(pod, outcome, seconds))


def _given(pod: DrainingPod, outcome: Outcome, seconds: float) -> int:
    """Tell how much time a drain had: the object may tell of less than the kubelet kept to."""
    is_past = seconds > pod.period + AT_THE_DEADLINE.total_seconds()
    return max(pod.period, pod.grace) if outcome is Outcome.KILLED or (outcome not in LOST and is_past) else pod.period


def _end_without_a_beginning(pod: DrainingPod, ends: list[ContainerEnd]) -> End:
    """Tell what can be told of a drain whose beginning was not seen: when its time was over, nobody knows."""
    outcomes = {_outcome(pod, end) for end in ends}
    if any(end.exit_code == KILLED for end in ends) and Outcome.OOM not in outcomes:
        return NOTHING_SEEN
    return End(max(outcomes, key=_WORST_LAST.index), None, None)


def _outcome(pod: DrainingPod, end: ContainerEnd) -> Outcome:
    if end.reason == OUT_OF_MEMORY:
        return Outcome.OOM
    if end.exit_code == 0:
        return Outcome.FINISHED
    if end.exit_code in (TERMINATED, INTERRUPTED):
        return Outcome.SIGNALLED
    if end.exit_code == KILLED and end.at and end.at >= pod.deadline - AT_THE_DEADLINE:
        return Outcome.CUT if end.at < pod.full_deadline - AT_THE_DEADLINE else Outcome.KILLED
    return Outcome.FAILED
