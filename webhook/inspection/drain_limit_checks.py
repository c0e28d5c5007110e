"""Checks what ends drains of protected pods before the grace period, and what helps."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from webhook.core.formatting import listed
from webhook.inspection.diagnostics import Code, Diagnostic
from webhook.inspection.drain_limit_parsing import EffectiveLimit
from webhook.inspection.drain_limits import LIMITS, Limit, Marker
from webhook.inspection.snapshot import DrainLimits, Snapshot, State, WorkerPod
from webhook.kubernetes.api_client import NotPermitted
from webhook.kubernetes.selectors import NAME_LABEL, matches

_KEPT = "kept"
"""Takes the place of other advice."""


class _Guard(msgspec.Struct, frozen=True):
    """The eviction guard: how to make it work if it does not, and the namespaces it excludes."""

    remedy: str = ""
    left_out: frozenset[str] = frozenset()

    def remedy_for(self, pod: WorkerPod) -> str:
        """Return what else would keep a pod's grace period on eviction, or that it is kept."""
        if self.remedy:
            return self.remedy
        if pod.as_asked:
            return "; or remove graceful-worker/evict: as-asked from the pods"
        if pod.namespace in self.left_out:
            return "; or make the eviction guard's namespaceSelector match"
        return _KEPT


def check_drain_limits(snapshot: Snapshot, *, guard_works: bool) -> Iterator[Diagnostic]:
    """Check what gives a protected pod less than its grace period."""
    if snapshot.limits is None or isinstance(snapshot.pods, NotPermitted):
        return
    # For a terminating pod, it is too late.
    pods = [pod for pod in snapshot.pods if pod.state is State.PROTECTED and not pod.ending]
    guard = _guard(snapshot, pods, works=guard_works)
    detected = {effective.limit for effective in snapshot.limits.effective_limits}
    cuts: list[Diagnostic] = []
    for effective in snapshot.limits.effective_limits:
        marker = LIMITS[effective.limit].detection
        if not (isinstance(marker, Marker) and marker.unless in detected):
            cuts += _check_limit(effective, pods, guard)
    yield from sorted(cuts, key=lambda diagnostic: diagnostic.code is Code.DRAIN_KEPT)
    if not cuts and not snapshot.limits.unreadable and not snapshot.limits.missing:
        yield Diagnostic(Code.DRAIN_UNLIMITED)
    yield from _unknown(snapshot.limits)


def _guard(snapshot: Snapshot, pods: list[WorkerPod], *, works: bool) -> _Guard:
    if isinstance(snapshot.configuration, NotPermitted):
        return _Guard("; or install the eviction guard, if it is missing (that could not be read)")
    if not snapshot.guards:
        return _Guard("; or install the eviction guard: kubectl apply -k deploy/")
    if not works:
        return _Guard("; or repair the eviction guard")
    namespaces = [] if isinstance(snapshot.namespaces, NotPermitted) else snapshot.namespaces
    labels = {pod.namespace: {NAME_LABEL: pod.namespace} for pod in pods}
    labels |= {each.name: each.labels for each in namespaces}
    selectors = [guard.get("namespaceSelector") for guard in snapshot.guards]
    return _Guard(left_out=frozenset(n for n, has in labels.items() if not any(matches(s, has) for s in selectors)))


def _check_limit(effective: EffectiveLimit, pods: list[WorkerPod], guard: _Guard) -> Iterator[Diagnostic]:
    """Report each limit once for the affected pods, and once for those that the guard protects."""
    limit = LIMITS[effective.limit]
    groups: dict[str, list[WorkerPod]] = {}
    for pod in pods:
        if _cuts_short(effective, pod):
            groups.setdefault(guard.remedy_for(pod) if limit.guarded else "", []).append(pod)
    for remedy, affected in sorted(groups.items()):
        yield _diagnostic(limit, effective, affected, remedy)


def _cuts_short(effective: EffectiveLimit, pod: WorkerPod) -> bool:
    seconds = effective.seconds(pod.priority)
    if seconds is None or seconds >= pod.grace or effective.limit in pod.exempt:
        return False
    return effective.nodes is None or pod.node in effective.nodes


def _diagnostic(limit: Limit, effective: EffectiveLimit, pods: list[WorkerPod], remedy: str) -> Diagnostic:
    seconds = min(effective.seconds(pod.priority) or 0 for pod in pods)
    longest: dict[str, int] = {}
    for pod in pods:
        longest[pod.namespace] = max(longest.get(pod.namespace, 0), pod.grace)
    most = max(longest.values())
    values = {
        "limit": limit.id,
        "says": limit.says.format(time=f"{seconds} s"),
        "place": effective.place,
        "seconds": seconds,
        "gracePeriods": dict(sorted(longest.items())),
        "places": listed(f"{namespace} {grace} s" for namespace, grace in sorted(longest.items())),
        "source": limit.source,
    }
    if remedy == _KEPT:
        return Diagnostic(Code.DRAIN_KEPT, values)
    advice = limit.advice.format(longest=most, minutes=-(-most // 60)) + remedy
    return Diagnostic(Code.DRAIN_CUT, {**values, "remedy": advice})


def _unknown(limits: DrainLimits) -> Iterator[Diagnostic]:
    for each in limits.unreadable:
        yield Diagnostic(Code.LIMIT_UNREADABLE, {"title": LIMITS[each.limit].title, "place": each.place})
    if limits.missing:
        yield Diagnostic(Code.LIMIT_RIGHT_MISSING, {"rights": "; ".join(limits.missing)})
    if limits.kubelets is None:
        yield Diagnostic(Code.KUBELETS_NOT_ASKED)
        return
    for node in limits.kubelets.unreachable:
        yield Diagnostic(Code.KUBELET_SILENT, {"node": node})
    if limits.kubelets.queried < limits.kubelets.kinds:
        yield Diagnostic(Code.KUBELETS_LEFT_OUT, {"asked": limits.kubelets.queried, "kinds": limits.kubelets.kinds})
