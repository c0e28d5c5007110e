"""Opts pods out of Istio, or asks for its native sidecar."""

from __future__ import annotations

import msgspec

from webhook.core.annotations import Istio, Settings, annotation_of
from webhook.core.errors import Refused
from webhook.core.pod import Pod
from webhook.core.reasons import Finding, Reason
from webhook.core.third_party_keys import ISTIO_INJECT, ISTIO_NATIVE

_YES = frozenset({"true", "yes", "y", "on"})


class MeshPlan(msgspec.Struct, frozen=True):
    """Labels and annotations to set, and the findings."""

    labels: dict[str, str]
    annotations: dict[str, str]
    findings: tuple[Finding, ...]


def plan_mesh(pod: Pod, settings: Settings) -> MeshPlan:
    """Decide how to treat Istio's sidecar.

    Raises:
        Refused: the pod both asks for Istio and opts out of it.

    """
    requested = pod.labels.get(ISTIO_INJECT, pod.annotations.get(ISTIO_INJECT, "")).lower() in _YES
    if requested and settings.istio is Istio.OPT_OUT:
        raise Refused(
            Reason.ANNOTATION_CONFLICT,
            detail=f"annotation {annotation_of('istio')} is {Istio.OPT_OUT.value}, but {ISTIO_INJECT} asks for Istio; "
            "remove one of them",
        )
    if settings.istio is Istio.KEEP:
        if ISTIO_NATIVE in pod.annotations:
            return MeshPlan({}, {}, ())
        return MeshPlan({}, {ISTIO_NATIVE: "true"}, (Finding(Reason.MESH_NATIVE),))
    if requested:
        detail = f"{annotation_of('istio')}: {Istio.KEEP.value}"
        return MeshPlan({}, {}, (Finding(Reason.MESH_KEPT, detail=detail),))
    opt_out = {ISTIO_INJECT: "false"}
    return MeshPlan(opt_out, opt_out, (Finding(Reason.MESH_OPT_OUT),))
