"""Determines the state of a workload's pods during its restart: pure."""

from __future__ import annotations

import msgspec

from webhook.core.annotations import INJECTED_LABEL
from webhook.core.ownership import Owner, owner_of
from webhook.core.pod import JsonObject
from webhook.inspection.installation_checks import is_older
from webhook.inspection.snapshot import State
from webhook.inspection.worker_pods import format_verdict, read_candidate_pod, read_status_or_none, recorded_version
from webhook.repair.candidates import Workload


class ReplacementPod(msgspec.Struct, frozen=True):
    """A pod of a workload that is being restarted."""

    name: str
    uid: str
    ending: bool
    version: str
    """The version that protected it; empty if none."""

    def is_protected(self, newest: str) -> bool:
        """Tell whether it is protected by a version not older than the running one."""
        return bool(self.version) and not is_older(self.version, newest)


def read_replacement_pod(raw: JsonObject) -> tuple[Owner, ReplacementPod]:
    """Read a pod's metadata and its workload: selectors may overlap."""
    metadata = raw["metadata"]
    record = read_status_or_none(metadata.get("annotations") or {})
    is_injected = (metadata.get("labels") or {}).get(INJECTED_LABEL) == "true"
    version = recorded_version(record) if record and is_injected else ""
    return owner_of(metadata), ReplacementPod(
        metadata["name"], metadata["uid"], "deletionTimestamp" in metadata, version
    )


def pods_of(workload: Workload, pods: list[tuple[Owner, ReplacementPod]]) -> list[ReplacementPod]:
    """Return a workload's pods that are not terminating."""
    return [pod for owner, pod in pods if (owner.kind, owner.name) == (workload.kind, workload.name) and not pod.ending]


def explain_unprotected(pod: JsonObject | None) -> str:
    """Return why a new pod is unprotected, according to the webhook's own decision."""
    if pod is None:
        return "it no longer exists, so the reason is unknown."
    read = read_candidate_pod(pod)
    if read.state is State.UNPROTECTED:
        return "the pod can be protected, so the webhook was not called, or its response did not arrive."
    return format_verdict(read.verdict)
