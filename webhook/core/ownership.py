"""Who made a pod, as people know it: the Deployment, not its ReplicaSet."""

from __future__ import annotations

import msgspec

from webhook.core.pod import JsonObject

HASH_LABEL = "pod-template-hash"
"""By it, a Deployment tells the pods of one revision from those of another."""


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
    owner = next((each for each in metadata.get("ownerReferences") or () if each.get("controller")), None)
    if owner is None:
        return Owner("Pod", metadata["name"])
    end = f"-{(metadata.get('labels') or {}).get(HASH_LABEL, '')}"
    if owner["kind"] == "ReplicaSet" and len(end) > 1 and owner["name"].endswith(end):
        return Owner("Deployment", owner["name"].removesuffix(end), "apps/v1")
    return Owner(owner["kind"], owner["name"], owner.get("apiVersion", ""))
