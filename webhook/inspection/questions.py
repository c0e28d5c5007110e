"""The requests to the API server: few, read-only, and never for a Secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from webhook.core.annotations import INJECTED_LABEL, LABEL, LABEL_DISABLED, LABEL_ENABLED
from webhook.core.pod import JsonObject
from webhook.inspection.observations import Namespace
from webhook.inspection.selectors import matches, to_query

ALIVE = "status.phase!=Succeeded,status.phase!=Failed"
"""Pods that have run to completion no longer need protection."""
INJECTED = f"{INJECTED_LABEL}=true"
NOT_INJECTED = f"{INJECTED_LABEL}!=true"
MISLABELLED = f"{LABEL},{LABEL} notin ({LABEL_ENABLED},{LABEL_DISABLED}),{NOT_INJECTED}"


class Question(msgspec.Struct, frozen=True):
    """A request for an object by name, or for a list in one or all namespaces."""

    resource: str
    group: str = ""
    namespace: str = ""
    name: str = ""
    labels: str = ""
    fields: str = ""
    metadata_only: bool = False
    subresource: str = ""

    @property
    def path(self) -> str:
        """The path of the request."""
        parts = ["apis", self.group, "v1"] if self.group else ["api", "v1"]
        if self.namespace:
            parts += ["namespaces", self.namespace]
        return "/".join([*parts, self.resource, *filter(None, [self.name, self.subresource])])

    @property
    def right(self) -> str:
        """The permission that it needs, in words."""
        if self.subresource:
            return f"get {self.resource}/{self.subresource.partition('/')[0]}"
        where = f" in namespace {self.namespace}" if self.namespace else ""
        if self.resource in ("pods", "deployments") and not self.namespace:
            where = " in all namespaces"
        kind = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"get {kind} {self.name}{where}" if self.name else f"list {kind}{where}"


def about_configuration(name: str) -> Question:
    """Request the configuration, which shows what the API server calls, and for which pods."""
    return Question("mutatingwebhookconfigurations", "admissionregistration.k8s.io", name=name)


def about_deployment(namespace: str, name: str) -> Question:
    """Request the number of ready replicas."""
    return Question("deployments", "apps", namespace, name)


def about_endpoints(namespace: str, service: str) -> Question:
    """Request the endpoints of a Service."""
    return Question("endpointslices", "discovery.k8s.io", namespace, labels=f"kubernetes.io/service-name={service}")


def about_replicas(namespace: str, selector: JsonObject | None) -> Question:
    """Request the webhook's own pods."""
    return Question("pods", namespace=namespace, labels=to_query(selector))


def about_owner(resource: str, namespace: str, name: str) -> Question:
    """Request the owner of pods."""
    return Question(resource, "apps", namespace, name)


def about_pods_of(owner: JsonObject) -> Question:
    """Request the pods that an owner selects; their metadata shows what protects them."""
    selector = to_query(owner["spec"]["selector"])
    return Question("pods", namespace=owner["metadata"]["namespace"], labels=selector, fields=ALIVE, metadata_only=True)


def about_pod(namespace: str, name: str) -> Question:
    """Request a whole pod by a list, because permission to list is needed anyway."""
    return Question("pods", namespace=namespace, fields=f"metadata.name={name}")


NAMESPACES = Question("namespaces", metadata_only=True)
NODES = Question("nodes", metadata_only=True)
# Whole pods: metadata contains neither grace period nor node.
PROTECTED_PODS = Question("pods", labels=INJECTED, fields=ALIVE)
MISLABELLED_PODS = Question("pods", labels=MISLABELLED, fields=ALIVE, metadata_only=True)


def about_labelled(labels: str, resource: str, group: str = "", namespace: str = "") -> Question:
    """Request objects by label."""
    return Question(resource, group, namespace, labels=labels)


def about_kind(group: str, resource: str) -> Question:
    """Request all objects of a kind that may not be installed."""
    return Question(resource, group)


def about_config_map(namespace: str, name: str) -> Question:
    """Request one ConfigMap."""
    return Question("configmaps", namespace=namespace, name=name)


def about_kubelet(node: str) -> Question:
    """Request a kubelet's configuration through the API server.

    https://kubernetes.io/docs/tasks/administer-cluster/kubelet-config-file/#viewing-the-kubelet-configuration
    """
    return Question("nodes", name=node, subresource="proxy/configz")


class Candidates(msgspec.Struct, frozen=True):
    """A list of pods that should be protected and are not; pods outside of `namespaces` are ignored."""

    question: Question
    namespaces: frozenset[str]


def about_unprotected(entries: Iterable[JsonObject], namespaces: Sequence[Namespace]) -> Iterator[Candidates]:
    """Request the pods that match the entries' selectors but lack the webhook's label.

    Whole pods, because decisions need them; so the API server should filter as many as possible.
    """
    for entry in entries:
        chosen = frozenset(n.name for n in namespaces if matches(entry.get("namespaceSelector"), n.labels))
        labels = ",".join(filter(None, [to_query(entry.get("objectSelector")), NOT_INJECTED]))
        # One list of everything is cheaper than one list for each of most namespaces.
        places = ("",) if len(chosen) * 2 > len(namespaces) else sorted(chosen)
        for place in places:
            yield Candidates(Question("pods", namespace=place, labels=labels, fields=ALIVE), chosen)


RIGHTS = (
    "get mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "list namespaces",
    "list pods (in all namespaces)",
    "get deployments.apps (in the namespace of the installation)",
    "list endpointslices.discovery.k8s.io (in the same namespace)",
)
"""Required permissions."""
LIMIT_RIGHTS = (
    "list nodes",
    "list deployments.apps (in all namespaces)",
    "list nodepools.karpenter.sh",
    "get configmaps (in namespace kube-system)",
    "list configmaps (in namespace kube-system)",
)
"""Permissions to read the limits of drains; without them, only these are unknown."""
HISTORY_RIGHTS = (
    "list pods (in the namespace of the installation)",
    "get pods/proxy (in the namespace of the installation)",
)
"""Permissions to read from the watch how drains ended; without them, only that is unknown."""
REPAIR_RIGHTS = tuple(f"get {resource}.apps" for resource in ("deployments", "statefulsets", "daemonsets"))
"""Permissions to tell whether owners can be restarted, in their namespaces."""
RESTART_RIGHTS = tuple(right.replace("get", "patch") for right in REPAIR_RIGHTS)
"""What restarts them."""
KUBELET_RIGHTS = ("get nodes/proxy",)
"""Additional permission for --kubelets; it also allows running commands in every pod."""
