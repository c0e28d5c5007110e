"""The owner of a pod as users know it: the Deployment, not its ReplicaSet."""

from __future__ import annotations

import msgspec

from webhook.core.pod import JsonObject

HASH_LABEL = "pod-template-hash"
"""Distinguishes the revisions of a Deployment."""
ROLLOUT_HASH_LABEL = "rollouts-pod-template-hash"
"""Distinguishes the revisions of an Argo Rollout.

https://github.com/argoproj/argo-rollouts/blob/master/pkg/apis/rollouts/v1alpha1/types.go
"""
REVISION_LABEL = "controller-revision-hash"
"""Distinguishes the revisions of a StatefulSet or DaemonSet."""
_CONTROLLERS = {HASH_LABEL: ("Deployment", "apps/v1"), ROLLOUT_HASH_LABEL: ("Rollout", "argoproj.io/v1alpha1")}
"""Kinds whose ReplicaSets have these labels' values at the end of their names."""


class Owner(msgspec.Struct, frozen=True):
    """The owner of a pod; a pod without a controller is its own owner."""

    kind: str
    name: str
    api_version: str = "v1"

    def __str__(self) -> str:
        """Format it as `Deployment emails`."""
        return f"{self.kind} {self.name}"


def owner_of(metadata: JsonObject) -> Owner:
    """Return the owner of a pod from its metadata."""
    owner = _controller(metadata)
    if owner is None:
        return Owner("Pod", metadata["name"])
    labels = metadata.get("labels") or {}
    for label, (kind, api_version) in _CONTROLLERS.items():
        end = f"-{labels.get(label, '')}"
        if owner["kind"] == "ReplicaSet" and len(end) > 1 and owner["name"].endswith(end):
            return Owner(kind, owner["name"].removesuffix(end), api_version)
    return Owner(owner["kind"], owner["name"], owner.get("apiVersion", ""))


def owner_uid_of(metadata: JsonObject) -> str:
    """Return the UID of a pod's owner; empty for a Deployment, whose UID the pod does not contain."""
    controller = _controller(metadata)
    if controller is None:
        return str(metadata.get("uid", ""))
    return str(controller.get("uid", "")) if controller["kind"] == owner_of(metadata).kind else ""


def _controller(metadata: JsonObject) -> JsonObject | None:
    return next((each for each in metadata.get("ownerReferences") or () if each.get("controller")), None)
