"""The outcome of a drain: derived from the pod's last state, never guessed."""

from __future__ import annotations

import msgspec

from webhook.core.coded_enum import CodedEnum
from webhook.drains.pods import CLOCK_TOLERANCE, ContainerTermination, DrainingPod

KILLED, TERMINATED, INTERRUPTED = 128 + 9, 128 + 15, 128 + 2
"""Exit codes for the signals KILL, TERM and INT."""
OUT_OF_MEMORY = "OOMKilled"


class Outcome(CodedEnum):
    """The outcome of a drain; its code is for metrics and scripts."""

    sentence: str

    FINISHED = "finished", "The worker exited by itself."
    SIGNALLED = "signalled", "The worker exited with the code of a signal: set by its handler, or because it has none."
    FAILED = "failed", "The worker exited with an error."
    OOM = "oom", "The worker ran out of memory."
    CUT = "cut", "The worker was killed at the end of a shortened grace period."
    KILLED = "killed", "The worker was killed at the end of its grace period."
    UNSEEN = "unseen", "The pod is gone, and how its worker ended was not observed."


_BEST_TO_WORST = (Outcome.FINISHED, Outcome.SIGNALLED, Outcome.FAILED, Outcome.OOM, Outcome.CUT, Outcome.KILLED)
LOST = frozenset({Outcome.OOM, Outcome.CUT, Outcome.KILLED})
"""Outcomes that may lose a message."""
UNSUCCESSFUL = LOST | {Outcome.FAILED}


class DrainResult(msgspec.Struct, frozen=True):
    """The outcome and timing of a drain."""

    outcome: Outcome
    seconds: float | None
    """From the deletion to the end of the last worker; None if it was not observed."""
    sidecar_seconds: float | None
    """From then to the end of the last other container; None if there is none."""
    effective_period: int | None = None
    """The grace period that the kubelet kept to, in seconds; None if that was not observed."""


UNOBSERVED = DrainResult(Outcome.UNSEEN, None, None)


def result_of(pod: DrainingPod) -> DrainResult:
    """Derive the outcome of a drain from a pod's last update."""
    terminations = pod.worker_terminations
    times = [end.at for end in terminations if end.at]
    if not pod.workers or len(terminations) < len(pod.workers) or len(times) < len(terminations):
        return UNOBSERVED
    outcomes = {_outcome(pod, end) for end in terminations}
    outcome = max(outcomes, key=_BEST_TO_WORST.index)
    if pod.is_removed:
        # The start of the drain was not observed, so its deadline is unknown.
        is_known = Outcome.OOM in outcomes or all(end.exit_code != KILLED for end in terminations)
        return DrainResult(outcome, None, None) if is_known else UNOBSERVED
    last = max(times)
    others = [
        end.at
        for name, end in pod.terminations.items()
        if name not in pod.workers and end.at and end.at >= pod.deleted_at
    ]
    sidecars = max((max(others) - last).total_seconds(), 0.0) if others else None
    seconds = max((last - pod.deleted_at).total_seconds(), 0.0)
    # The kubelet may have kept to a longer grace period than the object's.
    is_past = seconds > pod.period + CLOCK_TOLERANCE.total_seconds()
    is_longer = outcome is Outcome.KILLED or (outcome not in LOST and is_past)
    return DrainResult(outcome, seconds, sidecars, max(pod.period, pod.grace) if is_longer else pod.period)


def _outcome(pod: DrainingPod, end: ContainerTermination) -> Outcome:
    if end.reason == OUT_OF_MEMORY:
        return Outcome.OOM
    if end.exit_code == 0:
        return Outcome.FINISHED
    if end.exit_code in (TERMINATED, INTERRUPTED):
        return Outcome.SIGNALLED
    if end.exit_code == KILLED and end.at and end.at >= pod.deadline - CLOCK_TOLERANCE:
        return Outcome.CUT if end.at < pod.full_deadline - CLOCK_TOLERANCE else Outcome.KILLED
    return Outcome.FAILED
