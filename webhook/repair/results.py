"""What became of a restart: the vocabulary."""

from __future__ import annotations

from enum import Enum

import msgspec

from webhook.repair.damage import Damage
from webhook.repair.hindrances import Hindrance


class Outcome(Enum):
    """How a restart ended; its value is the code that scripts read."""

    is_good: bool
    stops: bool
    """No further owner is restarted."""
    sentence: str
    advice: str

    def __new__(cls, code: str, is_good: bool, stops: bool, sentence: str, advice: str = "") -> Outcome:
        """Make the code the member's value; `{name}` in sentence and advice stands for a value."""
        member = object.__new__(cls)
        member._value_ = code
        member.is_good = is_good
        member.stops = stops
        member.sentence = sentence
        member.advice = advice
        return member

    REPAIRED = "repaired", True, False, "restarted in {seconds} s, and protected ({count})."
    NOT_NEEDED = "not-needed", True, False, "nothing is left to repair: it was restarted meanwhile."
    HINDERED = "hindered", False, False, "not restarted. {sentence}", "{remedy}"
    GONE = "gone", False, False, "it was deleted while it was being restarted."
    UNPROTECTED = (
        "unprotected",
        False,
        True,
        "pod {pod} came back unprotected: {why}",
        "graceful-worker status; kubectl -n {namespace} get pod {pod} -o yaml | graceful-worker explain -f -",
    )
    OLDER = (
        "older",
        False,
        True,
        "pod {pod} came back with the injection of {version}, although {newest} runs.",
        "graceful-worker status --pods",
    )
    STUCK = (
        "stuck",
        False,
        True,
        "its rollout does not get ahead: {says}.",
        "kubectl -n {namespace} describe {argument}",
    )
    TIMED_OUT = (
        "timed-out",
        False,
        True,
        "its rollout has stood still for {seconds} s: {says}.",
        "kubectl -n {namespace} describe {argument}",
    )
    REJECTED = (
        "rejected",
        False,
        True,
        "the API server does not accept its restart: {message}",
        "kubectl -n {namespace} auth can-i patch {argument}",
    )
    NOT_AWAITED = (
        "not-awaited",
        False,
        True,
        "it is being restarted; what comes of it was not awaited.",
        "kubectl -n {namespace} rollout status {argument}; then run this again",
    )


class Result(msgspec.Struct, frozen=True):
    """What became of the restart of an owner."""

    damage: Damage
    outcome: Outcome
    values: dict[str, str] = {}

    @property
    def sentence(self) -> str:
        """Say it in one line."""
        return self.outcome.sentence.format_map(self._values)

    @property
    def advice(self) -> str:
        """What to do about it; empty where nothing is to be done."""
        return self.outcome.advice.format_map(self._values)

    @property
    def _values(self) -> dict[str, str]:
        owner = self.damage.owner
        return {"namespace": owner.namespace, "argument": owner.argument, **self.values}


def not_restarted(damage: Damage, hindrance: Hindrance) -> Result:
    """Say what stands in the way."""
    return Result(damage, Outcome.HINDERED, {"sentence": hindrance.sentence, "remedy": hindrance.advice})
