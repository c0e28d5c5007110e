"""Builders of Kubernetes objects: a test states only the fields that matter to it, under their Kubernetes names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
Labels = Mapping[str, str]

CELERY = ("celery", "-A", "shop", "worker")
"""The command of a known framework's worker."""


def container(name: str = "worker", command: tuple[str, ...] | list[str] = CELERY, **fields: Any) -> Json:
    """Return a container; an empty command leaves it to the image."""
    return {"name": name, "image": "shop:1", **({"command": list(command)} if command else {}), **fields}


def pod(
    name: str = "",
    *containers: Json,
    labels: Labels | None = None,
    annotations: Labels | None = None,
    metadata: Json | None = None,
    **spec: Any,
) -> Json:
    """Return a pod, by default of one worker; the API server makes up the name where there is none."""
    template = pod_template(*containers, labels=labels, annotations=annotations, **spec)
    named = {"name": name} if name else {"generateName": "worker-"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**named, **template["metadata"], **(metadata or {})},
        "spec": template["spec"],
    }


def pod_template(
    *containers: Json, labels: Labels | None = None, annotations: Labels | None = None, **spec: Any
) -> Json:
    """Return the template of a workload's pods, by default of one worker."""
    metadata = {
        key: dict(values) for key, values in (("labels", labels), ("annotations", annotations)) if values is not None
    }
    return {"metadata": metadata, "spec": {"containers": list(containers) or [container()], **spec}}


def workload(kind: str, name: str, template: Json | None = None, **spec: Any) -> Json:
    """Return a workload of the group `apps`, which has the labels of its pods and selects them by these."""
    template = pod_template(labels={"app": name}) if template is None else template
    labels = dict(template["metadata"]["labels"])
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def deployment(name: str, template: Json | None = None, **spec: Any) -> Json:
    """Return a Deployment."""
    return workload("Deployment", name, template, **spec)


def namespace(name: str, labels: Labels | None = None) -> Json:
    """Return a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}}


def owner_reference(kind: str, name: str, uid: str = "1", api_version: str = "apps/v1") -> Json:
    """Return the reference to the controller of an object."""
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": True}


def eviction(name: str, namespace: str, version: str = "v1", **fields: Any) -> Json:
    """Return an eviction, with its `deleteOptions` where some are given."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": f"policy/{version}", "kind": "Eviction", "metadata": metadata, **fields}


def admission_review(raw: Json, **request: Any) -> Json:
    """Return the review of an object, by default of a pod that is created."""
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    request = {"uid": "1", "kind": kind, "operation": "CREATE", "object": raw, **request}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
