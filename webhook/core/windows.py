"""Whether a pod runs on Windows, where there is no POSIX shell and no signals."""

from __future__ import annotations

import re

from webhook.core.pod import NodeSelectorTerm, Pod, Requirement, Spec

_WINDOWS = "windows"
_OS_LABELS = ("kubernetes.io/os", "beta.kubernetes.io/os")
# Kubelets set it on Windows alone: https://kubernetes.io/docs/reference/labels-annotations-taints/#nodekubernetesiowindows-build
_BUILD_LABEL = "node.kubernetes.io/windows-build"
# Names of runtime classes are free; these have a word that says so. wcow: containerd's runhcs-wcow-process.
# https://kubernetes.io/docs/concepts/windows/user-guide/#encapsulating-the-configuration-using-runtimeclass
_RUNTIME_CLASS = re.compile(r"(?:^|[-.])(?:windows|wcow)")


def is_windows(pod: Pod) -> bool:
    """Tell whether a pod runs on Windows, by what it says and by the nodes that it asks for."""
    spec = pod.spec
    if spec.os and spec.os.name:
        # Kubelets refuse the pod where that is not so.
        return spec.os.name == _WINDOWS
    return _selects(spec) or _is_bound(spec) or _has_options(spec) or _has_runtime(spec)


def _selects(spec: Spec) -> bool:
    selector = spec.node_selector
    if not selector:
        return False
    return _BUILD_LABEL in selector or any(selector.get(label) == _WINDOWS for label in _OS_LABELS)


def _is_bound(spec: Spec) -> bool:
    """Tell whether each of the terms asks for Windows: one that fits is enough for a node."""
    affinity = spec.affinity and spec.affinity.node
    terms = (affinity and affinity.required and affinity.required.terms) or ()
    return bool(terms) and all(map(_asks, terms))


def _asks(term: NodeSelectorTerm) -> bool:
    return any(map(_leaves_windows_alone, term.expressions or ()))


def _leaves_windows_alone(requirement: Requirement) -> bool:
    key, operator, values = requirement.key, requirement.operator, requirement.values or []
    if key == _BUILD_LABEL:
        return operator in ("In", "Exists")
    if key not in _OS_LABELS:
        return False
    return set(values) == {_WINDOWS} if operator == "In" else operator == "NotIn" and "linux" in values


def _has_options(spec: Spec) -> bool:
    for part in (spec, *spec.containers, *(spec.init_containers or ())):
        if part.security and part.security.windows and any(part.security.windows.values()):
            return True
    return False


def _has_runtime(spec: Spec) -> bool:
    return bool(spec.runtime_class and _RUNTIME_CLASS.search(spec.runtime_class))
