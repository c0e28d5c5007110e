"""Detects pods for Windows, which has neither a POSIX shell nor signals."""

from __future__ import annotations

import re

from webhook.core.pod import Pod, Requirement, Spec

_WINDOWS = "windows"
# AKS: Windows2019, Windows2022, WindowsAnnual, …; on Linux nodes Ubuntu, AzureLinux, …:
# https://learn.microsoft.com/en-us/azure/aks/use-labels
# OpenShift: Windows; on Linux nodes rhcos, rhel, …:
# openshift/windows-machine-config-operator, pkg/controller/windowsmachine/nodeconfig/nodeconfig.go WindowsOSLabel
_OS_LABELS = (
    "kubernetes.io/os",
    "beta.kubernetes.io/os",
    "kubernetes.azure.com/os-sku",
    "node.openshift.io/os_id",
)
# Only set on Windows nodes:
# https://kubernetes.io/docs/reference/labels-annotations-taints/#nodekubernetesiowindows-build
_BUILD_LABEL = "node.kubernetes.io/windows-build"
# Runtime class names are arbitrary; these contain a typical word. wcow is from containerd's runhcs-wcow-process.
# https://kubernetes.io/docs/concepts/windows/user-guide/#encapsulating-the-configuration-using-runtimeclass
_RUNTIME_CLASS = re.compile(r"(?:^|[-.])(?:windows|wcow)")


def is_windows(pod: Pod) -> bool:
    """Tell whether a pod is for Windows, by its own fields and the nodes it selects."""
    spec = pod.spec
    if spec.os and spec.os.name:
        # Kubelets reject the pod if this is wrong.
        return spec.os.name == _WINDOWS
    selector = spec.node_selector
    if selector and (
        _BUILD_LABEL in selector or any(_is_windows_value(selector.get(label, "")) for label in _OS_LABELS)
    ):
        return True
    if spec.runtime_class and _RUNTIME_CLASS.search(spec.runtime_class):
        return True
    for part in (spec, *spec.containers, *(spec.init_containers or ())):
        if part.security and part.security.windows and any(part.security.windows.values()):
            return True
    return _has_windows_affinity(spec)


def _has_windows_affinity(spec: Spec) -> bool:
    """Tell whether each term requires Windows: a node needs to match only one of them."""
    affinity = spec.affinity and spec.affinity.node
    terms = (affinity and affinity.required and affinity.required.terms) or ()
    return bool(terms) and all(any(map(_requires_windows, term.expressions or ())) for term in terms)


def _requires_windows(requirement: Requirement) -> bool:
    key, operator, values = requirement.key, requirement.operator, requirement.values or []
    if key == _BUILD_LABEL:
        return operator in ("In", "Exists")
    if key not in _OS_LABELS:
        return False
    if operator == "In":
        return bool(values) and all(map(_is_windows_value, values))
    return operator == "NotIn" and "linux" in values


def _is_windows_value(value: str) -> bool:
    return value.lower().startswith(_WINDOWS)
