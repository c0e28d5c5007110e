"""Draws all conclusions, in the order of interest: pure, so it is tested with files."""

from __future__ import annotations

import datetime

from webhook.inspection.diagnostics import Diagnostic, DiagnosticCode
from webhook.inspection.drain_history_checks import check_drain_history
from webhook.inspection.drain_limit_checks import check_drain_limits
from webhook.inspection.installation_checks import check_installation
from webhook.inspection.pod_checks import check_namespaces, check_pods
from webhook.inspection.snapshot import Snapshot
from webhook.inspection.verdict import Verdict, overall_verdict


def run_checks(snapshot: Snapshot, now: datetime.datetime) -> list[Diagnostic]:
    """Conclude from everything that was read."""
    installation = list(check_installation(snapshot, now))
    is_able = overall_verdict(installation) in (Verdict.WORKS, Verdict.FLAWED)
    guard_works = is_able and not any(conclusion.fact is DiagnosticCode.GUARD_FAILS for conclusion in installation)
    said = [
        *installation,
        *check_namespaces(snapshot),
        *check_pods(snapshot, is_able=is_able),
        *check_drain_limits(snapshot, guard_works=guard_works),
        *check_drain_history(snapshot, now),
    ]
    # Several conclusions may lack the same permission.
    return [conclusion for position, conclusion in enumerate(said) if conclusion not in said[:position]]
