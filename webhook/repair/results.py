"""The results of restarts."""

from __future__ import annotations

import msgspec

from webhook.core.coded_enum import CodedEnum
from webhook.repair.candidates import RestartCandidate


class Outcome(CodedEnum):
    """The result of a restart; `{name}` in sentence and advice is replaced by a value."""

    is_success: bool
    stops: bool
    """Whether to restart no further workload."""
    sentence: str
    advice: str

    REPAIRED = "repaired", True, False, "restarted in {seconds} s; now protected ({count})."
    NOT_NEEDED = "not-needed", True, False, "nothing left to repair: it has been restarted meanwhile."
    BLOCKED = "hindered", False, False, "not restarted. {sentence}", "{remedy}"
    GONE = "gone", False, False, "it was deleted during the restart."
    UNPROTECTED = (
        "unprotected",
        False,
        True,
        "new pod {pod} is unprotected: {why}",
        "graceful-worker status; kubectl -n {namespace} get pod {pod} -o yaml | graceful-worker explain -f -",
    )
    OLDER = (
        "older",
        False,
        True,
        "new pod {pod} was injected by version {version}, although {newest} is running.",
        "graceful-worker status --pods",
    )
    STUCK = ("stuck", False, True, "its rollout is stuck: {says}.", "kubectl -n {namespace} describe {argument}")
    TIMED_OUT = (
        "timed-out",
        False,
        True,
        "its rollout has made no progress for {seconds} s: {says}.",
        "kubectl -n {namespace} describe {argument}",
    )
    REJECTED = (
        "rejected",
        False,
        True,
        "the API server rejected the restart: {message}",
        "kubectl -n {namespace} auth can-i patch {argument}",
    )
    NOT_AWAITED = (
        "not-awaited",
        False,
        True,
        "its restart is in progress; the result was not awaited.",
        "kubectl -n {namespace} rollout status {argument}; then run repair again",
    )


class Result(msgspec.Struct, frozen=True):
    """The result of the restart of a workload."""

    candidate: RestartCandidate
    outcome: Outcome
    values: dict[str, str] = {}

    @property
    def sentence(self) -> str:
        """Format it as one line."""
        return self.candidate.fill_in(self.outcome.sentence, self.values)

    @property
    def advice(self) -> str:
        """What to do about it; empty if nothing."""
        return self.candidate.fill_in(self.outcome.advice, self.values)
