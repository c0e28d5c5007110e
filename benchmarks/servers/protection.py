"""What tutorials do to a pod by hand, for the servers that each do it in their own way."""

from __future__ import annotations

from typing import Any

LOOP = 'until [ -e /graceful-worker/kill_me ]; do "$@" || exit; done; touch /graceful-worker/kill_sidecar'
KILL = ["sh", "-c", "touch /graceful-worker/kill_me"]
WAIT = ["sh", "-c", "until [ -e /graceful-worker/kill_sidecar ]; do sleep 1; done"]


def protect(pod: dict[str, Any]) -> dict[str, Any]:
    """Protect a pod in place: a loop, hooks, a shared volume, a longer grace period, and no Istio."""
    pod["metadata"].setdefault("labels", {})["sidecar.istio.io/inject"] = "false"
    spec = pod["spec"]
    spec["terminationGracePeriodSeconds"] = 3600
    spec.setdefault("volumes", []).append({"name": "graceful-worker", "emptyDir": {}})
    worker, *sidecars = spec["containers"]
    worker["command"] = ["sh", "-c", LOOP, "loop", *worker["command"]]
    for container, hook in ((worker, KILL), *((sidecar, WAIT) for sidecar in sidecars)):
        container["lifecycle"] = {"preStop": {"exec": {"command": hook}}}
        container.setdefault("volumeMounts", []).append({"name": "graceful-worker", "mountPath": "/graceful-worker"})
    return pod
