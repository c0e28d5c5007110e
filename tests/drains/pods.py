"""Builds pods as the API server stores them; a test sets only the fields that matter to it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

START = datetime.datetime(2026, 8, 1, 3, tzinfo=datetime.UTC)
"""The time that is second 0 in all tests."""
_HASH_LABELS = {"Deployment": "pod-template-hash", "Rollout": "rollouts-pod-template-hash"}


def instant(second: float) -> str:
    """Write a time as the API server does: in whole seconds."""
    return (START + datetime.timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_since_start() -> float:
    """Return the current time in seconds since START."""
    return (datetime.datetime.now(datetime.UTC) - START).total_seconds()


def pod(
    name: str,
    *,
    owner: str = "Deployment emails",
    revision: str = "1",
    namespace: str = "shop",
    node: str = "node-1",
    grace: int | None = 3600,
    deleted: float | None = None,
    period: int | None = None,
    workers: Mapping[str, Json] | None = None,
    sidecars: tuple[str, ...] = (),
    ends: Mapping[str, Json] | None = None,
    before: Mapping[str, Json] | None = None,
    disruption: str = "",
    disrupted: float | None = None,
    protected: bool = True,
) -> Json:
    """Build a protected pod.

    `deleted` is the second of its deletion, `period` the grace period of that deletion: by default the pod's own
    `grace`. `ends` has the final state of containers: `code`, `at`, `reason`, `message`; `before` has the state in
    which a restarted container ended before. `disrupted` is the second at which the condition `disruption` was set.
    """
    workers = workers or {"worker": {"mode": "signal", "framework": "celery"}}
    metadata: Json = {"name": name, "namespace": namespace, "uid": f"uid-of-{name}", "labels": {}, "annotations": {}}
    metadata |= _owned(owner, revision)
    if protected:
        metadata["labels"]["graceful-worker/injected"] = "true"
        metadata["annotations"]["graceful-worker/status"] = json.dumps({"version": "0.1.0", "workers": workers})
    if deleted is not None:
        given = period if period is not None else 30 if grace is None else grace
        metadata |= {"deletionTimestamp": instant(deleted + given), "deletionGracePeriodSeconds": given}
    spec: Json = {"nodeName": node, "containers": [{"name": each} for each in (*workers, *sidecars)]}
    spec |= {} if grace is None else {"terminationGracePeriodSeconds": grace}
    statuses = [_status(each, (ends or {}).get(each)) for each in (*workers, *sidecars)]
    for each in statuses:
        if each["name"] in (before or {}):
            each["lastState"] = _status(each["name"], (before or {})[each["name"]])["state"]
    status: Json = {"containerStatuses": statuses}
    if disruption:
        condition = {"type": "DisruptionTarget", "status": "True", "reason": disruption}
        status["conditions"] = [condition | ({} if disrupted is None else {"lastTransitionTime": instant(disrupted)})]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def _owned(owner: str, revision: str) -> Json:
    kind, _, name = owner.partition(" ")
    if kind == "Pod":
        return {}
    if kind in _HASH_LABELS:
        reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{name}-{revision}"}
        labels = {_HASH_LABELS[kind]: revision}
    else:
        version = "batch/v1" if kind == "Job" else "apps/v1"
        reference = {"apiVersion": version, "kind": kind, "name": name}
        labels = {"controller-revision-hash": revision}
    return {"ownerReferences": [{**reference, "uid": f"uid-of-{name}", "controller": True}], "labels": labels}


def _status(container: str, end: Json | None) -> Json:
    if end is None:
        return {"name": container, "state": {"running": {}}}
    terminated = {
        "exitCode": end.get("code", 0),
        "reason": end.get("reason", "Completed" if not end.get("code") else "Error"),
        "finishedAt": instant(end["at"]) if "at" in end else None,
        "message": end.get("message", ""),
    }
    return {"name": container, "state": {"terminated": terminated}}
