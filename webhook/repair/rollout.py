"""Determines the progress of a rollout from the status of its workload, and from its pods: pure.

The meaning of the status, and when it is up to date:
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
"""

from __future__ import annotations

from enum import Enum

import msgspec

from webhook.core.annotations import INJECTED_LABEL
from webhook.core.ownership import Owner, owner_of
from webhook.core.pod import JsonObject
from webhook.inspection.installation_checks import is_older
from webhook.inspection.snapshot import State
from webhook.inspection.worker_pods import format_verdict, read_candidate_pod, read_status_or_none
from webhook.repair.candidates import Workload

_LONGEST_MESSAGE = 300


class Stage(Enum):
    """The stage of a rollout."""

    COMPLETE = "complete"
    UNDER_WAY = "under-way"
    STUCK = "stuck"
    """Its controller reports no progress within the workload's deadline."""


class Rollout(msgspec.Struct, frozen=True):
    """The progress of a rollout; `message` completes the sentence "It is not complete:"."""

    stage: Stage
    message: str = ""
    progress: int = 0
    """Grows as long as the rollout makes progress."""


class _Counts(msgspec.Struct, frozen=True):
    wanted: int
    updated: int
    available: int
    old: int = 0
    """Pods of the previous template that are not terminating."""


def rollout_of(kind: str, workload: JsonObject) -> Rollout:
    """Determine the progress of the rollout of a Deployment, StatefulSet or DaemonSet."""
    status = workload.get("status") or {}
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return Rollout(Stage.UNDER_WAY, "its controller has not observed the change yet")
    counts = _counts(kind, workload, status)
    progress = counts.updated + counts.available - counts.old
    message = _incomplete(counts)
    if not message:
        return Rollout(Stage.COMPLETE, progress=progress)
    reason, detail = _blocking_condition(status)
    stage = Stage.STUCK if reason == "ProgressDeadlineExceeded" else Stage.UNDER_WAY
    return Rollout(stage, message + detail, progress)


def _counts(kind: str, workload: JsonObject, status: JsonObject) -> _Counts:
    def number(field: str) -> int:
        return int(status.get(field) or 0)

    if kind == "DaemonSet":
        return _Counts(number("desiredNumberScheduled"), number("updatedNumberScheduled"), number("numberAvailable"))
    # The API server's default for a missing field is 1.
    wanted = workload["spec"].get("replicas", 1)
    updated = number("updatedReplicas")
    old = max(number("replicas") - updated, 0) if kind == "Deployment" else 0
    return _Counts(wanted, updated, number("availableReplicas"), old)


def _incomplete(counts: _Counts) -> str:
    if counts.updated < counts.wanted:
        return f"{counts.updated} of {counts.wanted} pods are updated"
    if counts.old:
        return f"old pods pending termination: {counts.old}"
    if counts.available < counts.wanted:
        return f"{counts.available} of {counts.wanted} pods are available"
    return ""


def _blocking_condition(status: JsonObject) -> tuple[str, str]:
    """Return reason and message of what blocks the rollout, in its controller's words."""
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    failure = conditions.get("ReplicaFailure")
    progressing = conditions.get("Progressing")
    reason = progressing.get("reason", "") if progressing and progressing["status"] == "False" else ""
    condition = failure if failure and failure["status"] == "True" else progressing if reason else None
    message = str((condition or {}).get("message", ""))[:_LONGEST_MESSAGE]
    return reason, f" ({message})" if message else ""


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
    version = record.version if record and is_injected else ""
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
