"""How the pods of an owner stand while it is restarted: pure."""

from __future__ import annotations

import msgspec

from webhook.core.annotations import INJECTED_LABEL
from webhook.core.ownership import owner_of
from webhook.core.pod import JsonObject
from webhook.inspection.observations import State
from webhook.inspection.versions import is_before
from webhook.inspection.worker_pods import candidate_pod, record_of
from webhook.repair.damage import Owner
from webhook.repair.owners import worded


class Successor(msgspec.Struct, frozen=True):
    """A pod of an owner that is restarted."""

    name: str
    uid: str
    ending: bool
    version: str
    """The version that protected it; empty where none did."""

    def is_well(self, newest: str) -> bool:
        """Tell whether it is protected, by no older version than the one that runs."""
        return bool(self.version) and not is_before(self.version, newest)


def read_successor(raw: JsonObject) -> tuple[str, Successor]:
    """Read a pod's metadata, and name its owner: selectors may overlap."""
    metadata = raw["metadata"]
    record = record_of(metadata.get("annotations") or {})
    is_injected = (metadata.get("labels") or {}).get(INJECTED_LABEL) == "true"
    version = record.version if record and is_injected else ""
    return str(owner_of(metadata)), Successor(
        metadata["name"], metadata["uid"], "deletionTimestamp" in metadata, version
    )


def of_owner(owner: Owner, pods: list[tuple[str, Successor]]) -> list[Successor]:
    """Return an owner's pods, without those that are ending."""
    return [pod for title, pod in pods if title == f"{owner.kind} {owner.name}" and not pod.ending]


def why_bare(pod: JsonObject | None) -> str:
    """Say why a pod came back unprotected, by what the webhook would decide on it."""
    if pod is None:
        return "it has ended meanwhile, so why cannot be told."
    read = candidate_pod(pod)
    if read.state is State.UNPROTECTED:
        return "nothing in it is against it, so the webhook was not asked, or its answer did not arrive."
    return worded(read.verdict)
