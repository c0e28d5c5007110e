"""The decision on an eviction: one that asks for less time than a protected pod has is to leave the pod its own.

The API server carries out what a mutating webhook makes of an eviction, so the pod's own grace period counts where the
eviction asks for none. https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
"""

from __future__ import annotations

import msgspec

from webhook.core.annotations import INJECTED_LABEL, Evict, annotation_of
from webhook.core.patch import Operation
from webhook.core.pod import DEFAULT_GRACE, JsonObject, Malformed
from webhook.core.reasons import Finding, Reason

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


class EvictedPod(msgspec.Struct):
    """What of a pod bears on its eviction."""

    metadata: _Metadata
    spec: _Spec

    @property
    def grace(self) -> int:
        """Its own grace period, in seconds."""
        return DEFAULT_GRACE if self.spec.grace is None else self.spec.grace


def read_evicted_pod(raw: JsonObject) -> EvictedPod:
    """Read a pod as the API server stores it.

    Raises:
        Malformed: it is none.

    """
    try:
        return msgspec.convert(raw, EvictedPod)
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from None


def decide_eviction(eviction: Eviction, pod: EvictedPod) -> Finding:
    """Decide whether a pod keeps its own grace period."""
    asked = eviction.grace
    if (pod.metadata.labels or {}).get(INJECTED_LABEL) != "true":
        return Finding(Reason.EVICTION_OF_ANOTHER)
    if (pod.metadata.annotations or {}).get(_ANNOTATION) == Evict.AS_ASKED.value:
        return Finding(Reason.EVICTION_AS_ASKED)
    if asked is None or asked >= pod.grace:
        return Finding(Reason.EVICTION_LONG_ENOUGH)
    return Finding(Reason.EVICTION_HEALED, detail=f"{pod.grace} s, not {asked} s")


def eviction_patch(verdict: Finding) -> list[Operation]:
    """Return what carries out a decision: without a period in the eviction, the pod's own counts."""
    return [{"op": "remove", "path": _GRACE_POINTER}] if verdict.reason is Reason.EVICTION_HEALED else []


def eviction_warnings(verdict: Finding) -> list[str]:
    """Say to whoever evicts what was kept, and how a pod is ended all the same.

    Not behind its eviction: a kubelet that ends a pod keeps to the first period, as seen on a 1.36 node.
    """
    if verdict.reason is not Reason.EVICTION_HEALED:
        return []
    return [
        f"{verdict.reason.value}: the pod keeps its {verdict.detail}, so that its message is finished",
        f"{verdict.reason.value}: to cut its time, do not evict it: kubectl delete pod NAME --grace-period=SECONDS",
    ]
