"""Draws all conclusions, in the order of interest: pure, so it is tested with files."""

from __future__ import annotations

import datetime

from webhook.inspection.drain_cuts import about_drains
from webhook.inspection.drain_history import about_history
from webhook.inspection.facts import Conclusion, Fact
from webhook.inspection.installation import about_installation
from webhook.inspection.observations import Observations
from webhook.inspection.population import about_namespaces, about_pods
from webhook.inspection.verdict import Verdict, judge


def inspect(seen: Observations, now: datetime.datetime) -> list[Conclusion]:
    """Conclude from everything that was read."""
    installation = list(about_installation(seen, now))
    is_able = judge(installation) in (Verdict.WORKS, Verdict.FLAWED)
    guard_works = is_able and not any(conclusion.fact is Fact.GUARD_FAILS for conclusion in installation)
    said = [
        *installation,
        *about_namespaces(seen),
        *about_pods(seen, is_able=is_able),
        *about_drains(seen, guard_works=guard_works),
        *about_history(seen, now),
    ]
    # Several conclusions may lack the same permission.
    return [conclusion for position, conclusion in enumerate(said) if conclusion not in said[:position]]
