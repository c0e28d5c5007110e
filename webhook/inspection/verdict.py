"""The overall verdict: one sentence and one exit code."""

from __future__ import annotations

from enum import Enum

from webhook.inspection.facts import Conclusion, Fact, Weight
from webhook.inspection.installation import BUNDLE_FAILS

STOPS = BUNDLE_FAILS | {Fact.NO_DEPLOYMENT, Fact.SCALED_TO_ZERO, Fact.NO_REPLICA, Fact.NO_ENDPOINT}
"""Each of these means that the API server's calls fail."""


class Verdict(Enum):
    """The overall verdict; its value is a code."""

    exit_code: int
    sentence: str

    def __new__(cls, code: str, exit_code: int, sentence: str) -> Verdict:
        """Make the code the member's value."""
        member = object.__new__(cls)
        member._value_ = code
        member.exit_code = exit_code
        member.sentence = sentence
        return member

    WORKS = "works", 0, "Protection works."
    PODS_REFUSED = "pods-refused", 1, "Labelled pods cannot be created, because calls to the webhook fail."
    PODS_UNPROTECTED = "pods-unprotected", 1, "Protection does not work: new pods are created unprotected."
    FLAWED = "flawed", 1, "New pods are protected, but there are problems."
    FLAWED_AND_UNKNOWN = (
        "flawed-and-unknown",
        1,
        "There are problems, and not everything could be read (--help lists the permissions).",
    )
    UNKNOWN = (
        "unknown",
        2,
        "Unknown whether protection works: not everything could be read (--help lists the permissions).",
    )


def judge(conclusions: list[Conclusion]) -> Verdict:
    """Return the overall verdict."""
    facts = {conclusion.fact for conclusion in conclusions}
    weights = {fact.weight for fact in facts}
    if facts & {Fact.NOT_INSTALLED, Fact.NO_ENTRIES}:
        return Verdict.PODS_UNPROTECTED
    if facts & STOPS:
        if Fact.FAILS_CLOSED in facts:
            return Verdict.PODS_REFUSED
        return Verdict.PODS_UNPROTECTED if Fact.FAILS_OPEN in facts else Verdict.FLAWED_AND_UNKNOWN
    if Weight.WRONG in weights:
        return Verdict.FLAWED_AND_UNKNOWN if Weight.UNKNOWN in weights else Verdict.FLAWED
    return Verdict.UNKNOWN if Weight.UNKNOWN in weights else Verdict.WORKS
