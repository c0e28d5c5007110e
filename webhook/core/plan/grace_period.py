"""Plans the grace period: raised for the workers, while failed probes keep the original one."""

from __future__ import annotations

import msgspec
from msgspec import UnsetType

from webhook.core.annotations import Settings
from webhook.core.pod import DEFAULT_GRACE, Pod
from webhook.core.policy import Policy
from webhook.core.reasons import Finding, Reason
from webhook.core.status import Status


class ProbeGracePeriod(msgspec.Struct, frozen=True, gc=False):
    """A probe that keeps the pod's original grace period, in seconds."""

    container_list: str
    index: int
    """The container's index in its list."""
    container: str
    probe: str
    current: int | UnsetType | None
    """The probe's own grace period, if it has one."""
    seconds: int


class GracePeriodPlan(msgspec.Struct, frozen=True, gc=False):
    """The pod's grace period and its original one, in seconds."""

    seconds: int
    original: int
    probes: tuple[ProbeGracePeriod, ...] = ()
    findings: tuple[Finding, ...] = ()


def current_grace_period(pod: Pod) -> int:
    """Return the pod's grace period in seconds."""
    return pod.spec.grace if isinstance(pod.spec.grace, int) else DEFAULT_GRACE


def plan_grace_period(pod: Pod, policy: Policy, settings: Settings, status: Status | None) -> GracePeriodPlan:
    """Raise the grace period, never lower it."""
    current = current_grace_period(pod)
    seconds = max(current, settings.grace_period or policy.grace_period)
    recorded = status.original_grace_period(DEFAULT_GRACE) if status else None
    original = current if recorded is None else recorded
    if original >= seconds:
        return GracePeriodPlan(seconds, original)
    # A probe's grace period must be at least 1 s.
    probe_seconds = max(original, 1)
    probes = [
        ProbeGracePeriod(field, index, container.name, name, probe.grace, probe_seconds)
        for field, containers in pod.spec.container_lists
        for index, container in enumerate(containers)
        if field == "containers" or container.is_native_sidecar
        for name, probe in (("livenessProbe", container.liveness), ("startupProbe", container.startup))
        if probe and (not isinstance(probe.grace, int) or probe.grace == probe_seconds)
    ]
    findings = [Finding(Reason.GRACE_RAISED, detail=f"{original} s to {seconds} s")]
    findings += [Finding(Reason.PROBE_GRACE, probe.container, f"{probe.probe}: {probe.seconds} s") for probe in probes]
    return GracePeriodPlan(seconds, original, tuple(probes), tuple(findings))
