"""The overall verdict: one sentence and one exit code."""

from __future__ import annotations

from enum import Enum

from webhook.inspection.diagnostics import Diagnostic, DiagnosticCode, Severity
from webhook.inspection.installation_checks import BUNDLE_FAILS

BLOCKING = BUNDLE_FAILS | {
    DiagnosticCode.NO_DEPLOYMENT,
    DiagnosticCode.SCALED_TO_ZERO,
    DiagnosticCode.NO_REPLICA,
    DiagnosticCode.NO_ENDPOINT,
}
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


def overall_verdict(conclusions: list[Diagnostic]) -> Verdict:
    """Return the overall verdict."""
    facts = {conclusion.fact for conclusion in conclusions}
    weights = {fact.weight for fact in facts}
    if facts & {DiagnosticCode.NOT_INSTALLED, DiagnosticCode.NO_ENTRIES}:
        return Verdict.PODS_UNPROTECTED
    if facts & BLOCKING:
        if DiagnosticCode.FAILS_CLOSED in facts:
            return Verdict.PODS_REFUSED
        return Verdict.PODS_UNPROTECTED if DiagnosticCode.FAILS_OPEN in facts else Verdict.FLAWED_AND_UNKNOWN
    if Severity.ERROR in weights:
        return Verdict.FLAWED_AND_UNKNOWN if Severity.UNKNOWN in weights else Verdict.FLAWED
    return Verdict.UNKNOWN if Severity.UNKNOWN in weights else Verdict.WORKS
