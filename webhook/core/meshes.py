"""Service meshes: how Istio is opted out of, and which proxies cannot run a hook."""

from __future__ import annotations

from dataclasses import dataclass

from webhook.core.annotations import Istio, Settings, annotation_of
from webhook.core.pod import Container, Pod
from webhook.core.reasons import Finding, Reason

# Istio reads the label first; releases before 1.10 know the annotation only, so both are set.
# https://istio.io/latest/docs/reference/config/annotations/
ISTIO_INJECT = "sidecar.istio.io/inject"
ISTIO_NATIVE = "sidecar.istio.io/nativeSidecar"
_YES = frozenset({"true", "yes", "y", "on"})


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy container whose image has no shell, and the switch by which its mesh makes it a native sidecar."""

    container: str
    image: str
    """A part of the image's name that tells it has no shell; empty: none of this proxy's images has one."""
    switch: str


PROXIES = (
    Proxy("linkerd-proxy", "", "config.linkerd.io/proxy-enable-native-sidecar"),
    Proxy("istio-proxy", "distroless", ISTIO_NATIVE),
)


@dataclass(frozen=True, slots=True)
class MeshPlan:
    """Labels and annotations to set, and what to say about it."""

    labels: dict[str, str]
    annotations: dict[str, str]
    findings: tuple[Finding, ...]


def plan_mesh(pod: Pod, settings: Settings) -> MeshPlan:
    """Decide what becomes of Istio's sidecar."""
    if settings.istio is Istio.KEEP:
        if ISTIO_NATIVE in pod.annotations:
            return MeshPlan({}, {}, ())
        return MeshPlan({}, {ISTIO_NATIVE: "true"}, (Finding(Reason.MESH_NATIVE),))
    asked = pod.labels.get(ISTIO_INJECT, pod.annotations.get(ISTIO_INJECT, ""))
    if asked.lower() in _YES:
        detail = f"{annotation_of('istio')}: {Istio.KEEP.value}"
        return MeshPlan({}, {}, (Finding(Reason.MESH_KEPT, detail=detail),))
    opt_out = {ISTIO_INJECT: "false"}
    return MeshPlan(opt_out, opt_out, (Finding(Reason.MESH_OPT_OUT),))


def shell_less_proxy(container: Container) -> Proxy | None:
    """Return the proxy that a container is, if it is one whose image has no shell."""
    for proxy in PROXIES:
        if container.name == proxy.container and proxy.image in (container.image or ""):
            return proxy
    return None
