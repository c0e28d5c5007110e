"""Determines the progress of a rollout from the status of its workload: pure.

The meaning of the status, and when it is up to date:
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
"""

from __future__ import annotations

from enum import Enum

import msgspec

from webhook.core.pod import JsonObject

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
