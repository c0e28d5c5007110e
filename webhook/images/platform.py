"""Chooses the platform of a pod, and the variant of an image for it."""

from __future__ import annotations

from collections.abc import Sequence

from webhook.core.formatting import listed
from webhook.core.pod import NodeSelectorTerm, Pod
from webhook.core.reasons import Reason
from webhook.images.errors import LookupFailed, printable
from webhook.images.oci import INDEX_TYPES, Descriptor, as_strings
from webhook.images.options import Platform

# https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-arch
_ARCHITECTURE_LABELS = ("kubernetes.io/arch", "beta.kubernetes.io/arch")
_OS_LABELS = ("kubernetes.io/os", "beta.kubernetes.io/os")

# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_LONGEST_LABEL_VALUE = 63

# Other names of architectures, and default variants. https://github.com/containerd/platforms/blob/v1.0.0/database.go
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "armhf": "arm"}
_DEFAULT_VARIANTS = {"amd64": "v1", "arm64": "v8", "arm": "v7"}

# BuildKit stores attestations in an index, as manifests for an unknown platform.
# https://docs.docker.com/build/metadata/attestations/attestation-storage/
_UNKNOWN = "unknown"
_ATTESTATION = "vnd.docker.reference.type"


def pod_platform(pod: Pod, default: Platform) -> Platform:
    """Return the platform of the nodes that a pod selects, completed from the default."""
    spec = pod.spec
    os = (spec.os and _if_valid(spec.os.name)) or _selected_value(pod, _OS_LABELS) or default.os
    architecture = _selected_value(pod, _ARCHITECTURE_LABELS) or default.architecture
    is_default = (os, architecture) == (default.os, default.architecture)
    return Platform(os, architecture, default.variant if is_default else "")


def _selected_value(pod: Pod, labels: Sequence[str]) -> str:
    """Return the only possible value of a node label; empty if several are possible."""
    selector = pod.spec.node_selector or {}
    value = next((value for label in labels if (value := _if_valid(selector.get(label)))), "")
    if value:
        return value
    affinity = pod.spec.affinity
    required = affinity and affinity.node and affinity.node.required
    values = {_only_value(term, labels) for term in (required and required.terms) or ()}
    return _if_valid(values.pop()) if len(values) == 1 else ""


def _if_valid(value: str | None) -> str:
    """Return a label's value, or an OS; empty if it is longer than any: results are cached by it."""
    return value if value and len(value) <= _LONGEST_LABEL_VALUE else ""


def _only_value(term: NodeSelectorTerm, labels: Sequence[str]) -> str:
    possible = [
        set(expression.values or ())
        for expression in term.expressions or ()
        if expression.key in labels and expression.operator == "In"
    ]
    common = set.intersection(*possible) if possible else set()
    return common.pop() if len(common) == 1 else ""


def choose_manifest(entries: Sequence[Descriptor], platform: Platform) -> Descriptor:
    """Choose from an index the exact platform, else the next lower variant of the architecture.

    If the pod selects no variant and the image only has higher ones, these have the same command. An index with a
    single platform is like an image without an index: nodes cannot run anything else of it.

    Raises:
        LookupFailed: there is none.

    """
    images = [entry for entry in entries if not _is_attestation(entry)]
    wanted = platform.os, _normalize(platform.architecture)
    matching = [entry for entry in images if _os_and_architecture(entry) == wanted]
    if matching:
        variant = _variant_number(platform.architecture, platform.variant)
        lower = [entry for entry in matching if _variant_of(entry) <= variant]
        if lower:
            return max(lower, key=_variant_of)
        if not platform.variant:
            return min(matching, key=_variant_of)
    without_platform = [entry for entry in images if entry.platform is None]
    nested = [entry for entry in without_platform if entry.media_type in INDEX_TYPES]
    if nested:
        return nested[0]
    if len(without_platform) == len(images) == 1:
        return without_platform[0]
    if not without_platform and len({_os_and_architecture(entry) for entry in images}) == 1:
        return min(images, key=_variant_of)
    platforms = dict.fromkeys(
        str(Platform(*as_strings((entry.platform.os, entry.platform.architecture, entry.platform.variant))))
        for entry in images
        if entry.platform
    )
    detail = f"it is not for {printable(str(platform))}, but for {listed(map(printable, platforms)) or 'none'}"
    raise LookupFailed(Reason.IMAGE_PLATFORM_MISSING, detail)


def _is_attestation(entry: Descriptor) -> bool:
    platform = entry.platform
    return _ATTESTATION in (entry.annotations or {}) or (platform is not None and platform.os == _UNKNOWN)


def _os_and_architecture(entry: Descriptor) -> tuple[str, str] | None:
    platform = entry.platform
    return (platform.os or "", _normalize(platform.architecture or "")) if platform else None


def _normalize(architecture: str) -> str:
    return _ARCHITECTURES.get(architecture, architecture)


def _variant_of(entry: Descriptor) -> int:
    return _variant_number(entry.platform.architecture or "", entry.platform.variant or "") if entry.platform else 0


def _variant_number(architecture: str, variant: str) -> int:
    number = (variant or _DEFAULT_VARIANTS.get(_normalize(architecture), "")).removeprefix("v")
    return int(number) if number.isdecimal() and len(number) < 4 else 0
