"""The decision on an eviction: one that asks for less time than a protected pod has is to leave the pod its own.

The API server carries out what a mutating webhook makes of an eviction, so the pod's own grace period counts where the
eviction asks for none. https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
"""

from __future__ import annotations

import msgspec

from webhook.core.annotations import INJECTED_LABEL, Evict, annotation_of
from webhook.core.patch import Operation
from webhook.core.pod import DEFAULT_GRACE, JsonObject, Malformed
from webhook.core.reasons import WARNING_LENGTH, Finding, Reason

_GRACE_POINTER = "/deleteOptions/gracePeriodSeconds"
_ANNOTATION = annotation_of("evict")


class DeleteOptions(msgspec.Struct):
    """How the pod is to be deleted; `grace` is the time that it is given, in seconds."""

    grace: int | None = msgspec.field(default=None, name="gracePeriodSeconds")
    dry_run: tuple[str, ...] | None = msgspec.field(default=None, name="dryRun")


class Eviction(msgspec.Struct):
    """What is asked for, as policy/v1 and policy/v1beta1 have it."""

    options: DeleteOptions | None = msgspec.field(default=None, name="deleteOptions")

    @property
    def grace(self) -> int | None:
        """The time that the pod is to be given, in seconds; None: its own."""
        return self.options.grace if self.options else None

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be deleted."""
        return bool(self.options and self.options.dry_run)


class _Metadata(msgspec.Struct):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Spec(msgspec.Struct):
    grace: int | None = msgspec.field(default=None, name="terminationGracePeriodSeconds")
    node: str = msgspec.field(default="", name="nodeName")


class EvictedPod(msgspec.Struct):
    """What of a pod bears on its eviction."""

    metadata: _Metadata
    spec: _Spec

    @property
    def grace(self) -> int:
        """Its own grace period, in seconds."""
        return DEFAULT_GRACE if self.spec.grace is None else self.spec.grace

    @property
    def node(self) -> str:
        """Where it runs; empty where it has not been scheduled."""
        return self.spec.node


class _Condition(msgspec.Struct):
    type: str
    status: str


class _NodeStatus(msgspec.Struct):
    conditions: list[_Condition] | None = None


class _Node(msgspec.Struct):
    status: _NodeStatus = msgspec.field(default_factory=_NodeStatus)


class EvictionDecision(msgspec.Struct, frozen=True):
    """What becomes of an eviction; `kept` is the time that the pod is left, in seconds, None where it is as asked."""

    verdict: Finding
    kept: int | None = None
    patch: list[Operation] = []


def read_evicted_pod(raw: JsonObject) -> EvictedPod:
    """Read a pod as the API server stores it.

    Raises:
        Malformed: it is none.

    """
    try:
        return msgspec.convert(raw, EvictedPod)
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from None


def is_lost(node: JsonObject | None) -> bool:
    """Tell whether nobody hears from a node any more: no worker there can be told to end, nor seen to finish.

    A node that is not ready, but says so itself, still ends its pods.
    https://kubernetes.io/docs/concepts/architecture/nodes/#condition

    Raises:
        Malformed: it is no node.

    """
    if node is None:
        return True
    try:
        conditions = msgspec.convert(node, _Node).status.conditions or ()
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from None
    return any(each.type == "Ready" and each.status == "Unknown" for each in conditions)


def decide_eviction(eviction: Eviction, pod: EvictedPod, limit: int) -> EvictionDecision:
    """Decide whether a pod keeps its own grace period; no more than `limit` seconds of it are kept."""
    asked = eviction.grace
    if (pod.metadata.labels or {}).get(INJECTED_LABEL) != "true":
        return EvictionDecision(Finding(Reason.EVICTION_OF_ANOTHER))
    if (pod.metadata.annotations or {}).get(_ANNOTATION) == Evict.AS_ASKED.value:
        return EvictionDecision(Finding(Reason.EVICTION_AS_ASKED))
    kept = min(pod.grace, limit)
    if asked is None or asked >= kept:
        return EvictionDecision(Finding(Reason.EVICTION_LONG_ENOUGH))
    verdict = Finding(Reason.EVICTION_HEALED, detail=f"{kept} s, not {asked} s")
    if kept < pod.grace:
        return EvictionDecision(verdict, kept, [{"op": "replace", "path": _GRACE_POINTER, "value": kept}])
    return EvictionDecision(verdict, kept, [{"op": "remove", "path": _GRACE_POINTER}])


def eviction_warnings(decision: EvictionDecision, pod: str) -> list[str]:
    """Say to whoever evicts what was kept of a pod, and how one is ended all the same.

    Not behind its eviction: a kubelet that ends a pod keeps to the first period, as seen on a 1.36 node.
    """
    if decision.kept is None:
        return []
    code = decision.verdict.reason.value
    kept = f" keeps {decision.verdict.detail}, to finish its message"
    room = WARNING_LENGTH - len(f"{code}: {kept}")
    name = pod if len(pod) <= room else pod[: room - 1] + "…"
    return [
        f"{code}: {name}{kept}",
        f"{code}: to end it sooner, delete it instead: kubectl delete pod NAME --grace-period=SECONDS",
    ]
