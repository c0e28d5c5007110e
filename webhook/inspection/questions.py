"""What is asked of the API server: reading alone, and of few things; never a Secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from webhook.core.annotations import INJECTED_LABEL, LABEL, LABEL_DISABLED, LABEL_ENABLED
from webhook.core.pod import JsonObject
from webhook.inspection.observations import Namespace
from webhook.inspection.selectors import matches, to_query

ALIVE = "status.phase!=Succeeded,status.phase!=Failed"
"""Pods that have run to completion need no protection any more."""
INJECTED = f"{INJECTED_LABEL}=true"
NOT_INJECTED = f"{INJECTED_LABEL}!=true"
MISLABELLED = f"{LABEL},{LABEL} notin ({LABEL_ENABLED},{LABEL_DISABLED}),{NOT_INJECTED}"


class Question(msgspec.Struct, frozen=True):
    """One request: an object by its name, or a list, in a namespace or in all of the cluster."""

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
        """The right that it needs, in words."""
        if self.subresource:
            return f"get {self.resource}/{self.subresource.partition('/')[0]}"
        where = f" in namespace {self.namespace}" if self.namespace else ""
        if self.resource in ("pods", "deployments") and not self.namespace:
            where = " in all namespaces"
        kind = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"get {kind} {self.name}{where}" if self.name else f"list {kind}{where}"


def about_configuration(name: str) -> Question:
    """Ask for the configuration: whom the API server calls, and about which pods."""
    return Question("mutatingwebhookconfigurations", "admissionregistration.k8s.io", name=name)


def about_deployment(namespace: str, name: str) -> Question:
    """Ask how many replicas are ready."""
    return Question("deployments", "apps", namespace, name)


def about_endpoints(namespace: str, service: str) -> Question:
    """Ask where a Service leads."""
    return Question("endpointslices", "discovery.k8s.io", namespace, labels=f"kubernetes.io/service-name={service}")


def about_replicas(namespace: str, selector: JsonObject | None) -> Question:
    """Ask for the pods of the webhook itself."""
    return Question("pods", namespace=namespace, labels=to_query(selector))


def about_owner(resource: str, namespace: str, name: str) -> Question:
    """Ask for what makes pods anew."""
    return Question(resource, "apps", namespace, name)


def about_pods_of(owner: JsonObject) -> Question:
    """Ask how the pods stand that an owner selects: what protects them can be told from their metadata."""
    selector = to_query(owner["spec"]["selector"])
    return Question("pods", namespace=owner["metadata"]["namespace"], labels=selector, fields=ALIVE, metadata_only=True)


def about_pod(namespace: str, name: str) -> Question:
    """Ask for a whole pod, by a list: the right for that is needed anyway."""
    return Question("pods", namespace=namespace, fields=f"metadata.name={name}")


NAMESPACES = Question("namespaces", metadata_only=True)
NODES = Question("nodes", metadata_only=True)
# Whole pods: how long they may take, and on which node they run, metadata do not tell.
PROTECTED_PODS = Question("pods", labels=INJECTED, fields=ALIVE)
MISLABELLED_PODS = Question("pods", labels=MISLABELLED, fields=ALIVE, metadata_only=True)


def about_labelled(labels: str, resource: str, group: str = "", namespace: str = "") -> Question:
    """Ask for objects that are known by their labels."""
    return Question(resource, group, namespace, labels=labels)


def about_kind(group: str, resource: str) -> Question:
    """Ask for all objects of a kind that may not be installed."""
    return Question(resource, group)


def about_config_map(namespace: str, name: str) -> Question:
    """Ask for one ConfigMap."""
    return Question("configmaps", namespace=namespace, name=name)


def about_kubelet(node: str) -> Question:
    """Ask a kubelet for its configuration, by way of the API server.

    https://kubernetes.io/docs/tasks/administer-cluster/kubelet-config-file/#viewing-the-kubelet-configuration
    """
    return Question("nodes", name=node, subresource="proxy/configz")


class Candidates(msgspec.Struct, frozen=True):
    """A list of pods that ought to be protected and are not; those outside of `namespaces` do not count."""

    question: Question
    namespaces: frozenset[str]


def about_unprotected(entries: Iterable[JsonObject], namespaces: Sequence[Namespace]) -> Iterator[Candidates]:
    """Ask for the pods that the entries' selectors send to the webhook, and that do not bear its label.

    Whole pods, because the decision reads them; so the API server is to leave out as many as it can.
    """
    for entry in entries:
        chosen = frozenset(n.name for n in namespaces if matches(entry.get("namespaceSelector"), n.labels))
        labels = ",".join(filter(None, [to_query(entry.get("objectSelector")), NOT_INJECTED]))
        # One list of everything is cheaper than a list for most of the namespaces.
        places = ("",) if len(chosen) * 2 > len(namespaces) else sorted(chosen)
        for place in places:
            yield Candidates(Question("pods", namespace=place, labels=labels, fields=ALIVE), chosen)


RIGHTS = (
    "get mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "list namespaces",
    "list pods (in all namespaces)",
    "get deployments.apps (in the namespace of the installation)",
    "list endpointslices.discovery.k8s.io (there, too)",
)
"""What somebody needs who runs the command."""
LIMIT_RIGHTS = (
    "list nodes",
    "list deployments.apps (in all namespaces)",
    "list nodepools.karpenter.sh",
    "get configmaps (in namespace kube-system)",
    "list configmaps (there, too)",
)
"""What tells of the limits of drains; without them, these are unknown, and all else is told."""
HISTORY_RIGHTS = ("list pods (in the namespace of the installation)", "get pods/proxy (there, too)")
"""What reads how drains went from the watch; without them that is unknown, and all else is told."""
REPAIR_RIGHTS = tuple(f"get {resource}.apps" for resource in ("deployments", "statefulsets", "daemonsets"))
"""What tells whether owners of pods can be restarted, in their namespaces."""
RESTART_RIGHTS = tuple(right.replace("get", "patch") for right in REPAIR_RIGHTS)
"""What restarts them."""
KUBELET_RIGHTS = ("get nodes/proxy",)
"""What --kubelets needs beyond that; with it, one may run commands in every pod."""
