"""Tells whether a workload's rollout is complete: then all replaced pods are terminating or gone."""

from __future__ import annotations

from webhook.core.pod import JsonObject
from webhook.kubernetes.rollout import Rollout, Stage, rollout_of

KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}
"""The kinds with rollouts, by their names in targets."""
RESOURCES = {kind: f"{kind}s" for kind in KINDS}
"""Their names in API paths."""


def rollout_for_drains(kind: str, workload: JsonObject) -> Rollout:
    """Return the progress of a rollout or scale-down, as far as it terminates pods."""
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    wanted = spec.get("replicas", 1)
    rollout = rollout_of(KINDS[kind], workload)
    has_seen = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
    if has_seen and _keeps_old_pods(spec.get("updateStrategy") or {}, status, wanted):
        rollout = Rollout(Stage.COMPLETE)
    surplus = (status.get("replicas") or 0) - wanted
    if rollout.stage is Stage.COMPLETE and surplus > 0 and kind != "daemonset":
        return Rollout(Stage.UNDER_WAY, f"pods pending termination: {surplus}")
    return rollout


def _keeps_old_pods(strategy: JsonObject, status: JsonObject, wanted: int) -> bool:
    """Tell whether the remaining old pods are those that the strategy keeps: all of them, or those of a partition.

    https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#update-strategies
    """
    if strategy.get("type") == "OnDelete":
        return True
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    return partition > 0 and (status.get("updatedReplicas") or 0) >= wanted - partition
