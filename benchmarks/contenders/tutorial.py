"""The webhook as tutorials write it: every field of the pod by hand on a copy, and the difference as the patch."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import jsonpatch
from fastapi import FastAPI

application = FastAPI()
LOOP = 'until [ -e /graceful-worker/kill_me ]; do "$@" || exit; done; touch /graceful-worker/kill_sidecar'
KILL = ["sh", "-c", "touch /graceful-worker/kill_me"]
WAIT = ["sh", "-c", "until [ -e /graceful-worker/kill_sidecar ]; do sleep 1; done"]


@application.post("/mutate")
def mutate(review: dict[str, Any]) -> dict[str, Any]:
    """Answer a review."""
    request = review["request"]
    pod = request["object"]
    patched = protect(copy.deepcopy(pod))
    patch = jsonpatch.make_patch(pod, patched)
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": request["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(patch.patch).encode()).decode(),
        },
    }


def protect(pod: dict[str, Any]) -> dict[str, Any]:
    """Protect a pod in place: a loop, hooks, a shared volume, time to end, and no Istio."""
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
