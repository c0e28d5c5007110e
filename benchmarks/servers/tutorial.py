"""The webhook as tutorials write it: the pod is changed on a copy, and the difference is the patch."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import jsonpatch
from fastapi import FastAPI
from protection import protect

application = FastAPI()


@application.post("/mutate")
def mutate(review: dict[str, Any]) -> dict[str, Any]:
    """Respond to a review."""
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
