"""The API server's part of the demo: sends AdmissionReviews over verified TLS, and applies the patches."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonpatch

from webhook.core.pod import JsonObject


@dataclass(frozen=True)
class Webhook:
    """A running webhook, and the CA by which its certificate is verified."""

    url: str
    ca: Path

    def get(self, path: str) -> bytes:
        """Fetch a page.

        Raises:
            OSError: it cannot be had, or the certificate does not verify.

        """
        with urllib.request.urlopen(self.url + path, context=self._context(), timeout=5) as response:  # noqa: S310
            return bytes(response.read())

    def admit(self, pod: JsonObject) -> tuple[JsonObject, list[str]]:
        """Send a pod that is about to be created; return the patched pod, and the warnings."""
        return self.review(review_of(pod))

    def review(self, review: JsonObject) -> tuple[JsonObject, list[str]]:
        """Send a review; return the patched object, and the warnings."""
        request = urllib.request.Request(  # noqa: S310 - an https URL of our own
            f"{self.url}/mutate", json.dumps(review).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, context=self._context(), timeout=5) as response:  # noqa: S310
            answer: dict[str, Any] = json.load(response)["response"]
        if not answer["allowed"]:
            raise SystemExit(answer["status"]["message"])
        operations = json.loads(base64.b64decode(answer.get("patch", "W10=")))
        return jsonpatch.apply_patch(review["request"]["object"], operations), answer.get("warnings", [])

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


def review_of(pod: JsonObject) -> JsonObject:
    """Wrap a pod that is about to be created as the API server does."""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": str(uuid.uuid4()),
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "default",
            "operation": "CREATE",
            "object": pod,
            "oldObject": None,
            "dryRun": False,
        },
    }


def pod_of(deployment: JsonObject) -> JsonObject:
    """Return the pod that a Deployment's controller creates, as the API server hands it to webhooks."""
    template = deployment["spec"]["template"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "generateName": f"{deployment['metadata']['name']}-"},
        "spec": {**template["spec"], "restartPolicy": "Always", "terminationGracePeriodSeconds": 30},
    }
