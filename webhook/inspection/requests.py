"""The requests to the API server: few, read-only, and never for a Secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from webhook.core.annotations import INJECTED_LABEL, LABEL, LABEL_DISABLED, LABEL_ENABLED
from webhook.core.pod import JsonObject
from webhook.inspection.snapshot import Namespace
from webhook.kubernetes.requests import INJECTED, NON_TERMINAL_PHASES, ApiRequest
from webhook.kubernetes.selectors import matches, to_query

NOT_INJECTED = f"{INJECTED_LABEL}!=true"
MISLABELLED = f"{LABEL},{LABEL} notin ({LABEL_ENABLED},{LABEL_DISABLED}),{NOT_INJECTED}"


NAMESPACES = ApiRequest("namespaces", metadata_only=True)
NODES = ApiRequest("nodes", metadata_only=True)
# Whole pods: metadata contains neither grace period nor node.
PROTECTED_PODS = ApiRequest("pods", labels=INJECTED, fields=NON_TERMINAL_PHASES)
MISLABELLED_PODS = ApiRequest("pods", labels=MISLABELLED, fields=NON_TERMINAL_PHASES, metadata_only=True)


def unprotected_pods_requests(
    entries: Iterable[JsonObject], namespaces: Sequence[Namespace]
) -> Iterator[tuple[ApiRequest, frozenset[str]]]:
    """Request the pods that match the entries' selectors but lack the webhook's label, each with its namespaces.

    Whole pods, because decisions need them; so the API server should filter as many as possible.
    """
    for entry in entries:
        chosen = frozenset(n.name for n in namespaces if matches(entry.get("namespaceSelector"), n.labels))
        labels = ",".join(filter(None, [to_query(entry.get("objectSelector")), NOT_INJECTED]))
        # One list of everything is cheaper than one list for each of most namespaces.
        scopes = ("",) if len(chosen) * 2 > len(namespaces) else sorted(chosen)
        for scope in scopes:
            yield ApiRequest("pods", namespace=scope, labels=labels, fields=NON_TERMINAL_PHASES), chosen


PERMISSIONS = (
    "get mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "list namespaces",
    "list pods (in all namespaces)",
    "get deployments.apps (in the namespace of the installation)",
    "list endpointslices.discovery.k8s.io (in the same namespace)",
)
"""Required permissions."""
DRAIN_LIMIT_PERMISSIONS = (
    "list nodes",
    "list deployments.apps (in all namespaces)",
    "list nodepools.karpenter.sh",
    "get configmaps (in namespace kube-system)",
    "list configmaps (in namespace kube-system)",
)
"""Permissions to read the limits of drains; without them, only these are unknown."""
DRAIN_HISTORY_PERMISSIONS = (
    "list pods (in the namespace of the installation)",
    "get pods/proxy (in the namespace of the installation)",
)
"""Permissions to read from the watch how drains ended; without them, only that is unknown."""
REPAIR_PERMISSIONS = tuple(f"get {resource}.apps" for resource in ("deployments", "statefulsets", "daemonsets"))
"""Permissions to tell whether owners can be restarted, in their namespaces."""
RESTART_PERMISSIONS = tuple(right.replace("get", "patch") for right in REPAIR_PERMISSIONS)
"""What restarts them."""
KUBELET_PERMISSIONS = ("get nodes/proxy",)
"""Additional permission for --kubelets; it also allows running commands in every pod."""
