"""The decision on an eviction: a protected pod keeps its own grace period if the eviction asks for less.

The API server acts on the eviction as changed by mutating webhooks. If the eviction sets no grace period, the pod's own
applies. https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
"""

from __future__ import annotations

import msgspec

from webhook.core.annotations import INJECTED_LABEL, Evict, annotation_of
from webhook.core.errors import Malformed
from webhook.core.patch.json_patch import Operation
from webhook.core.pod import DEFAULT_GRACE, JsonObject
from webhook.core.reasons import Finding, Reason
from webhook.core.warnings import WARNING_LENGTH

OVERDUE_SECONDS = 60
"""How long after its grace period a pod still counts as draining: clocks differ, and kubelets need time to report."""
_GRACE_POINTER = "/deleteOptions/gracePeriodSeconds"
_ANNOTATION = annotation_of("evict")


class DeleteOptions(msgspec.Struct):
    """The options of the deletion; `grace` is the grace period in seconds."""

    grace: int | None = msgspec.field(default=None, name="gracePeriodSeconds")
    dry_run: tuple[str, ...] | None = msgspec.field(default=None, name="dryRun")


class Eviction(msgspec.Struct):
    """An Eviction of policy/v1 or policy/v1beta1."""

    options: DeleteOptions | None = msgspec.field(default=None, name="deleteOptions")

    @property
    def grace(self) -> int | None:
        """The requested grace period, in seconds; None for the pod's own."""
        return self.options.grace if self.options else None

    @property
    def dry_run(self) -> bool:
        """Whether this is a dry run."""
        return bool(self.options and self.options.dry_run)


class _Metadata(msgspec.Struct):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deadline: str | None = msgspec.field(default=None, name="deletionTimestamp")
    period: int | None = msgspec.field(default=None, name="deletionGracePeriodSeconds")


class _Spec(msgspec.Struct):
    grace: int | None = msgspec.field(default=None, name="terminationGracePeriodSeconds")
    node: str = msgspec.field(default="", name="nodeName")
    """Empty if the pod is not scheduled."""


class EvictedPod(msgspec.Struct):
    """The fields of a pod that matter for its eviction."""

    metadata: _Metadata
    spec: _Spec

    @property
    def grace(self) -> int:
        """The pod's grace period, in seconds."""
        return DEFAULT_GRACE if self.spec.grace is None else self.spec.grace

    def is_overdue(self, grace_period: int, late: float) -> bool:
        """Tell whether its time is over although it still exists: its kubelet hangs, or a volume cannot be unmounted.

        `late` is how long its deletionTimestamp has passed, in seconds; negative before that.

        A second deletion with less time changes the object; a kubelet that is ending the pod already keeps to the first
        one: https://github.com/kubernetes/kubernetes/issues/113606
        """
        return late > max(grace_period - (self.metadata.period or 0), 0) + OVERDUE_SECONDS


class _Condition(msgspec.Struct):
    type: str
    status: str


class _NodeStatus(msgspec.Struct):
    conditions: list[_Condition] | None = None


class _Node(msgspec.Struct):
    status: _NodeStatus = msgspec.field(default_factory=_NodeStatus)


class EvictionDecision(msgspec.Struct, frozen=True):
    """The decision on an eviction; `grace_period` is what the pod keeps, in seconds, None if nothing changes."""

    verdict: Finding
    grace_period: int | None = None
    patch: list[Operation] = []


def read_evicted_pod(raw: JsonObject) -> EvictedPod:
    """Read a pod as the API server stores it.

    Raises:
        Malformed: it is not a pod.

    """
    try:
        return msgspec.convert(raw, EvictedPod)
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from None


def is_lost(node: JsonObject | None) -> bool:
    """Tell whether a node is unreachable, so that its workers can neither be stopped nor observed.

    A node that reports not being ready can still terminate its pods.
    https://kubernetes.io/docs/concepts/architecture/nodes/#condition

    Raises:
        Malformed: it is not a node.

    """
    if node is None:
        return True
    try:
        conditions = msgspec.convert(node, _Node).status.conditions or ()
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from None
    return any(each.type == "Ready" and each.status == "Unknown" for each in conditions)


def decide_eviction(eviction: Eviction, pod: EvictedPod, limit: int, late: float) -> EvictionDecision:
    """Decide whether a pod keeps its own grace period, up to `limit` seconds; for `late`, see EvictedPod."""
    requested = eviction.grace
    if (pod.metadata.labels or {}).get(INJECTED_LABEL) != "true":
        return EvictionDecision(Finding(Reason.EVICTION_OF_ANOTHER))
    if (pod.metadata.annotations or {}).get(_ANNOTATION) == Evict.AS_ASKED.value:
        return EvictionDecision(Finding(Reason.EVICTION_AS_ASKED))
    grace_period = min(pod.grace, limit)
    if requested is None or requested >= grace_period:
        return EvictionDecision(Finding(Reason.EVICTION_LONG_ENOUGH))
    if pod.is_overdue(grace_period, late):
        return EvictionDecision(Finding(Reason.EVICTION_OVERDUE))
    verdict = Finding(Reason.EVICTION_HEALED, detail=f"{grace_period} s, not {requested} s")
    patch: Operation = {"op": "remove", "path": _GRACE_POINTER}
    if grace_period < pod.grace:
        patch = {"op": "replace", "path": _GRACE_POINTER, "value": grace_period}
    return EvictionDecision(verdict, grace_period, [patch])


def eviction_warnings(decision: EvictionDecision, pod: str) -> list[str]:
    """Return the warnings for the client that evicts: the period that the pod keeps, and how to end it.

    Deleting the pod after its eviction does not help: the kubelet keeps the first period (observed on a 1.36 node).
    """
    if decision.grace_period is None:
        return []
    code = decision.verdict.reason.value
    text = f" keeps {decision.verdict.detail}, to finish its message"
    room = WARNING_LENGTH - len(f"{code}: {text}")
    name = pod if len(pod) <= room else pod[: room - 1] + "…"
    return [
        f"{code}: {name}{text}",
        f"{code}: to end it sooner, delete it instead: kubectl delete pod NAME --grace-period=SECONDS",
    ]
