"""Who made a pod, as people know it: the Deployment, not its ReplicaSet."""

from __future__ import annotations

import msgspec

from webhook.core.pod import JsonObject

HASH_LABEL = "pod-template-hash"
"""By it, a Deployment tells the pods of one revision from those of another."""
ROLLOUT_HASH_LABEL = "rollouts-pod-template-hash"
"""By it, Argo Rollouts does.

https://github.com/argoproj/argo-rollouts/blob/master/pkg/apis/rollouts/v1alpha1/types.go
"""
REVISION_LABEL = "controller-revision-hash"
"""By it, a StatefulSet or a DaemonSet does."""
_CONTROLLERS = {HASH_LABEL: ("Deployment", "apps/v1"), ROLLOUT_HASH_LABEL: ("Rollout", "argoproj.io/v1alpha1")}
"""Whose ReplicaSets have these labels' values at the end of their names."""


class Owner(msgspec.Struct, frozen=True):
    """What made a pod; a pod that nobody made is its own."""

    kind: str
    name: str
    api_version: str = "v1"

    def __str__(self) -> str:
        """Write it as `Deployment emails`."""
        return f"{self.kind} {self.name}"


def owner_of(metadata: JsonObject) -> Owner:
    """Read the owner of a pod from its metadata."""
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
    """Read the uid of a pod's owner; empty for a Deployment, which a pod does not name itself."""
    controller = _controller(metadata)
    if controller is None:
        return str(metadata.get("uid", ""))
    return str(controller.get("uid", "")) if controller["kind"] == owner_of(metadata).kind else ""


def _controller(metadata: JsonObject) -> JsonObject | None:
    return next((each for each in metadata.get("ownerReferences") or () if each.get("controller")), None)
