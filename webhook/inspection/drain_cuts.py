"""Concludes what ends drains of protected pods before the grace period, and what helps."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from webhook.core.text import listed
from webhook.inspection.drain_limits import TABLE, Limit, Marker
from webhook.inspection.drain_readings import Bound
from webhook.inspection.facts import Conclusion, Fact
from webhook.inspection.observations import Limits, Observations, State, Unseen, WorkerPod
from webhook.inspection.selectors import NAME_LABEL, matches

_LIMITS = {limit.id: limit for limit in TABLE.limit}
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


def about_drains(seen: Observations, *, guard_works: bool) -> Iterator[Conclusion]:
    """Conclude what gives a protected pod less than its grace period."""
    if seen.limits is None or isinstance(seen.pods, Unseen):
        return
    # For a terminating pod, it is too late.
    pods = [pod for pod in seen.pods if pod.state is State.PROTECTED and not pod.ending]
    guard = _guard(seen, pods, works=guard_works)
    bounds = list(_told_by_nothing_else(seen.limits.bounds))
    cuts = [conclusion for bound in bounds for conclusion in _cuts(bound, pods, guard)]
    yield from sorted(cuts, key=lambda conclusion: conclusion.fact is Fact.DRAIN_KEPT)
    if not cuts and not seen.limits.unreadable and not seen.limits.missing:
        yield Conclusion(Fact.DRAIN_UNLIMITED)
    yield from _unknown(seen.limits)


def _guard(seen: Observations, pods: list[WorkerPod], *, works: bool) -> _Guard:
    if isinstance(seen.configuration, Unseen):
        return _Guard("; or install the eviction guard, if it is missing (that could not be read)")
    if not seen.guards:
        return _Guard("; or install the eviction guard: kubectl apply -k deploy/")
    if not works:
        return _Guard("; or repair the eviction guard")
    namespaces = [] if isinstance(seen.namespaces, Unseen) else seen.namespaces
    labels = {pod.namespace: {NAME_LABEL: pod.namespace} for pod in pods}
    labels |= {each.name: each.labels for each in namespaces}
    selectors = [guard.get("namespaceSelector") for guard in seen.guards]
    return _Guard(left_out=frozenset(n for n, has in labels.items() if not any(matches(s, has) for s in selectors)))


def _told_by_nothing_else(bounds: list[Bound]) -> Iterator[Bound]:
    told = {bound.limit for bound in bounds}
    for bound in bounds:
        marker = _LIMITS[bound.limit].seen
        if not (isinstance(marker, Marker) and marker.unless in told):
            yield bound


def _cuts(bound: Bound, pods: list[WorkerPod], guard: _Guard) -> Iterator[Conclusion]:
    """Report each limit once for the affected pods, and once for those that the guard protects."""
    limit = _LIMITS[bound.limit]
    groups: dict[str, list[WorkerPod]] = {}
    for pod in pods:
        if _is_cut(bound, pod):
            groups.setdefault(guard.remedy_for(pod) if limit.guarded else "", []).append(pod)
    for remedy, those in sorted(groups.items()):
        yield _conclusion(limit, bound, those, remedy)


def _is_cut(bound: Bound, pod: WorkerPod) -> bool:
    seconds = bound.seconds(pod.priority)
    if seconds is None or seconds >= pod.grace or bound.limit in pod.exempt:
        return False
    return bound.nodes is None or pod.node in bound.nodes


def _conclusion(limit: Limit, bound: Bound, pods: list[WorkerPod], remedy: str) -> Conclusion:
    seconds = min(bound.seconds(pod.priority) or 0 for pod in pods)
    longest: dict[str, int] = {}
    for pod in pods:
        longest[pod.namespace] = max(longest.get(pod.namespace, 0), pod.grace)
    most = max(longest.values())
    values = {
        "limit": limit.id,
        "says": limit.says.format(time=f"{seconds} s"),
        "place": bound.place,
        "seconds": seconds,
        "gracePeriods": dict(sorted(longest.items())),
        "places": listed(f"{namespace} {grace} s" for namespace, grace in sorted(longest.items())),
        "source": limit.source,
    }
    if remedy == _KEPT:
        return Conclusion(Fact.DRAIN_KEPT, values)
    advice = limit.advice.format(longest=most, minutes=-(-most // 60)) + remedy
    return Conclusion(Fact.DRAIN_CUT, {**values, "remedy": advice})


def _unknown(limits: Limits) -> Iterator[Conclusion]:
    for each in limits.unreadable:
        yield Conclusion(Fact.LIMIT_UNREADABLE, {"title": _LIMITS[each.limit].title, "place": each.place})
    if limits.missing:
        yield Conclusion(Fact.LIMIT_RIGHT_MISSING, {"rights": "; ".join(limits.missing)})
    if limits.kubelets is None:
        yield Conclusion(Fact.KUBELETS_NOT_ASKED)
        return
    for node in limits.kubelets.silent:
        yield Conclusion(Fact.KUBELET_SILENT, {"node": node})
    if limits.kubelets.asked < limits.kubelets.kinds:
        yield Conclusion(Fact.KUBELETS_LEFT_OUT, {"asked": limits.kubelets.asked, "kinds": limits.kubelets.kinds})
