"""Plans the annotations that forbid evictions, and warns of evictions that shorten the grace period."""

from __future__ import annotations

from webhook.core.annotations import Evict, Settings, annotation_of
from webhook.core.reasons import Finding, Reason
from webhook.core.third_party_keys import EVICTION_ANNOTATIONS

AUTOSCALER_GRACE_PERIOD = 600
"""Seconds to which the cluster autoscaler shortens grace periods: its --max-graceful-termination-sec."""
_GRACE_PERIOD_CUT = {
    Evict.ALLOW: Finding(Reason.EVICTION_CUT, detail="the eviction guard keeps the full grace period if it is on"),
    Evict.AS_ASKED: Finding(Reason.EVICTION_CUT, detail=f"{annotation_of('evict')} allows that"),
}


def plan_evictions(settings: Settings, grace_period: int) -> tuple[dict[str, str], list[Finding]]:
    """Return the annotations to set, and the findings."""
    if settings.evict is Evict.NEVER:
        return EVICTION_ANNOTATIONS, [Finding(Reason.EVICTION_FORBIDDEN)]
    return {}, [_GRACE_PERIOD_CUT[settings.evict]] if grace_period > AUTOSCALER_GRACE_PERIOD else []
