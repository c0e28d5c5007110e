"""Decides whether an owner can be restarted, and what its new pods would be: pure."""

from __future__ import annotations

from collections.abc import Mapping

from webhook.core.annotations import STATUS_ANNOTATION
from webhook.core.injection import inject
from webhook.core.pod import JsonObject
from webhook.core.policy import Policy
from webhook.core.reasons import Finding, Kind
from webhook.inspection.observations import Observations, State, Unseen
from webhook.inspection.selectors import matches, shipped_entries
from webhook.repair.damage import Damage
from webhook.repair.hindrances import Hindrance, Obstacle, hindrance
from webhook.repair.rollout import Stage, rollout_of

RESTARTED = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
"""The kinds with rollouts, and their resources in the API group apps."""
Look = JsonObject | Unseen | None
"""An owner as the API server returns it; None if it does not exist."""

_KINDS = {
    "Job": Obstacle.JOB,
    "Pod": Obstacle.BARE_POD,
    "ReplicaSet": Obstacle.REPLICA_SET,
    "ReplicationController": Obstacle.REPLICA_SET,
    "Rollout": Obstacle.ARGO_ROLLOUT,
}
_STATES = {
    State.REFUSED: Obstacle.REFUSED,
    State.MISLABELLED: Obstacle.MISLABELLED,
    State.UNRECORDED: Obstacle.UNRECORDED,
}
_OUTCOMES = {Kind.REFUSED: Obstacle.REFUSED, Kind.LEFT_ALONE: Obstacle.LEFT_ALONE}


def hindered_by_itself(damage: Damage) -> Hindrance | None:
    """Return the obstacle that is known without reading the owner, if any."""
    if damage.state:
        return hindrance(_STATES[damage.state], damage, verdict=worded(damage.verdict))
    if damage.owner.kind not in RESTARTED:
        return hindrance(_KINDS.get(damage.owner.kind, Obstacle.CUSTOM_CONTROLLER), damage)
    return None


def hindered(damage: Damage, look: Look, seen: Observations) -> Hindrance | None:
    """Return the obstacle for an owner of a kind with rollouts, if any."""
    if isinstance(look, Unseen):
        return hindrance(Obstacle.UNSEEN, damage, right=look.right)
    if look is None:
        return hindrance(Obstacle.GONE, damage)
    if "deletionTimestamp" in look["metadata"]:
        return hindrance(Obstacle.ENDING, damage)
    return _by_strategy(damage, look["spec"]) or _by_template(damage, look, seen) or _by_rollout(damage, look)


def _by_strategy(damage: Damage, spec: JsonObject) -> Hindrance | None:
    if spec.get("paused"):
        return hindrance(Obstacle.PAUSED, damage)
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return hindrance(Obstacle.ON_DELETE, damage)
    partition = (strategy.get("rollingUpdate") or {}).get("partition")
    return hindrance(Obstacle.PARTITIONED, damage, partition=str(partition)) if partition else None


def _by_template(damage: Damage, owner: JsonObject, seen: Observations) -> Hindrance | None:
    """Decide on the template's pods as the webhook would."""
    template: JsonObject = owner["spec"]["template"]
    metadata = template.get("metadata") or {}
    if STATUS_ANNOTATION in (metadata.get("annotations") or {}):
        return hindrance(Obstacle.IN_MANIFEST, damage)
    if not _is_sent(metadata.get("labels") or {}, damage.owner.namespace, seen):
        return hindrance(Obstacle.NOT_SENT, damage)
    pod = {**template, "metadata": {**metadata, "namespace": damage.owner.namespace}}
    decision = inject(pod, Policy()).decision
    obstacle = _OUTCOMES.get(decision.outcome)
    return hindrance(obstacle, damage, verdict=worded(decision.verdict)) if obstacle else None


def _is_sent(labels: Mapping[str, str], namespace: str, seen: Observations) -> bool:
    if isinstance(seen.namespaces, Unseen):
        # The missing permission is reported when the run is refused.
        return True
    of_namespace = next((each.labels for each in seen.namespaces if each.name == namespace), {})
    return any(
        matches(entry.get("namespaceSelector"), of_namespace) and matches(entry.get("objectSelector"), dict(labels))
        for entry in seen.pod_entries or shipped_entries(seen.names.namespace)
    )


def _by_rollout(damage: Damage, owner: JsonObject) -> Hindrance | None:
    rollout = rollout_of(damage.owner.kind, owner)
    return None if rollout.stage is Stage.COMPLETE else hindrance(Obstacle.NOT_SETTLED, damage, says=rollout.says)


def worded(verdict: Finding | None) -> str:
    """Format a verdict without details, which may quote the pod; `explain` shows them."""
    return f"{verdict.reason.sentence} [{verdict.reason.value}]" if verdict else ""
