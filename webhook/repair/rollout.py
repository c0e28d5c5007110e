"""How far a rollout is, by what the owner itself says: pure.

What its controller counts, and when it has caught up with the object:
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
"""

from __future__ import annotations

from enum import Enum

import msgspec

from webhook.core.pod import JsonObject

_LONGEST_MESSAGE = 300


class Stage(Enum):
    """How far it is."""

    COMPLETE = "complete"
    UNDER_WAY = "under-way"
    STUCK = "stuck"
    """Its controller has seen no progress for as long as the owner allows."""


class Rollout(msgspec.Struct, frozen=True):
    """How far a rollout is; `says` completes the sentence "It is not over:"."""

    stage: Stage
    says: str = ""
    progress: int = 0
    """Grows as long as the rollout gets ahead."""


class _Counts(msgspec.Struct, frozen=True):
    wanted: int
    updated: int
    available: int
    old: int = 0
    """Pods of the template before, which have not been told to end."""


def rollout_of(kind: str, owner: JsonObject) -> Rollout:
    """Tell how far the rollout of a Deployment, StatefulSet or DaemonSet is."""
    status = owner.get("status") or {}
    if status.get("observedGeneration", 0) < owner["metadata"].get("generation", 0):
        return Rollout(Stage.UNDER_WAY, "its controller has not seen the change yet")
    counts = _counts(kind, owner, status)
    progress = counts.updated + counts.available - counts.old
    says = _missing(counts)
    if not says:
        return Rollout(Stage.COMPLETE, progress=progress)
    reason, trouble = _trouble(status)
    stage = Stage.STUCK if reason == "ProgressDeadlineExceeded" else Stage.UNDER_WAY
    return Rollout(stage, says + trouble, progress)


def _counts(kind: str, owner: JsonObject, status: JsonObject) -> _Counts:
    def number(field: str) -> int:
        return int(status.get(field) or 0)

    if kind == "DaemonSet":
        return _Counts(number("desiredNumberScheduled"), number("updatedNumberScheduled"), number("numberAvailable"))
    # The API server writes 1 where the manifest says nothing.
    wanted = owner["spec"].get("replicas", 1)
    updated = number("updatedReplicas")
    old = max(number("replicas") - updated, 0) if kind == "Deployment" else 0
    return _Counts(wanted, updated, number("availableReplicas"), old)


def _missing(counts: _Counts) -> str:
    if counts.updated < counts.wanted:
        return f"{counts.updated} of {counts.wanted} pods are new"
    if counts.old:
        return f"old pods that are still to be ended: {counts.old}"
    if counts.available < counts.wanted:
        return f"{counts.available} of {counts.wanted} pods are available"
    return ""


def _trouble(status: JsonObject) -> tuple[str, str]:
    """Return reason and message of what keeps it from getting ahead, in its controller's own words."""
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    failure = conditions.get("ReplicaFailure")
    progressing = conditions.get("Progressing")
    reason = progressing.get("reason", "") if progressing and progressing["status"] == "False" else ""
    told = failure if failure and failure["status"] == "True" else progressing if reason else None
    message = str((told or {}).get("message", ""))[:_LONGEST_MESSAGE]
    return reason, f" ({message})" if message else ""
