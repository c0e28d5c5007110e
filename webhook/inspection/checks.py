"""Runs all checks, in the order of interest, and gives the overall verdict: pure, so it is tested with files."""

from __future__ import annotations

import datetime

from webhook.core.coded_enum import CodedEnum
from webhook.inspection.diagnostics import Code, Diagnostic, Severity
from webhook.inspection.drain_history_checks import check_drain_history
from webhook.inspection.drain_limit_checks import check_drain_limits
from webhook.inspection.installation_checks import BUNDLE_FAILS, check_installation
from webhook.inspection.pod_checks import check_namespaces, check_pods
from webhook.inspection.snapshot import Snapshot

BLOCKING = BUNDLE_FAILS | {Code.NO_DEPLOYMENT, Code.SCALED_TO_ZERO, Code.NO_REPLICA, Code.NO_ENDPOINT}
"""Each of these means that the API server's calls fail."""


class Verdict(CodedEnum):
    """The overall verdict."""

    exit_code: int
    sentence: str

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


def overall_verdict(diagnostics: list[Diagnostic]) -> Verdict:
    """Return the overall verdict."""
    codes = {diagnostic.code for diagnostic in diagnostics}
    severities = {code.severity for code in codes}
    if codes & {Code.NOT_INSTALLED, Code.NO_ENTRIES}:
        return Verdict.PODS_UNPROTECTED
    if codes & BLOCKING:
        if Code.FAILS_CLOSED in codes:
            return Verdict.PODS_REFUSED
        return Verdict.PODS_UNPROTECTED if Code.FAILS_OPEN in codes else Verdict.FLAWED_AND_UNKNOWN
    if Severity.ERROR in severities:
        return Verdict.FLAWED_AND_UNKNOWN if Severity.UNKNOWN in severities else Verdict.FLAWED
    return Verdict.UNKNOWN if Severity.UNKNOWN in severities else Verdict.WORKS


def run_checks(snapshot: Snapshot, now: datetime.datetime) -> list[Diagnostic]:
    """Check everything that was read."""
    installation = list(check_installation(snapshot, now))
    can_protect = overall_verdict(installation) in (Verdict.WORKS, Verdict.FLAWED)
    guard_works = can_protect and not any(diagnostic.code is Code.GUARD_FAILS for diagnostic in installation)
    diagnostics = [
        *installation,
        *check_namespaces(snapshot),
        *check_pods(snapshot, can_protect=can_protect),
        *check_drain_limits(snapshot, guard_works=guard_works),
        *check_drain_history(snapshot, now),
    ]
    # Several checks may lack the same permission.
    return [diagnostic for position, diagnostic in enumerate(diagnostics) if diagnostic not in diagnostics[:position]]
