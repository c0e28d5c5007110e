"""The labels and annotations of other programs that decisions read, or that patches set."""

from __future__ import annotations

from webhook.core.annotations import LABEL, PREFIX

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
MIRROR = "kubernetes.io/config.mirror"
# Istio reads the label first; releases before 1.10 know the annotation only, so both are set.
# https://istio.io/latest/docs/reference/config/annotations/
ISTIO_INJECT = "sidecar.istio.io/inject"
ISTIO_NATIVE = "sidecar.istio.io/nativeSidecar"
EVICTION_ANNOTATIONS = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
_READ = frozenset({LABEL, DEFAULT_CONTAINER, MIRROR, ISTIO_INJECT, ISTIO_NATIVE, *EVICTION_ANNOTATIONS})


def is_read(key: str) -> bool:
    """Tell whether a decision or a patch depends on a label or an annotation with this key."""
    return key in _READ or key.startswith(PREFIX)
