"""The protected pods of a large cluster, as its API server stores them."""

from __future__ import annotations

import datetime
from typing import Any

import jsonpatch

from benchmarks.reviews import reviews
from webhook.core.injection import inject
from webhook.core.policy import Policy

OWNERS = 100
GRACE = 3600
Json = dict[str, Any]


class ClusterPods:
    """Makes pods of 100 owners in 10 namespaces, each with three containers, protected by this version."""

    def __init__(self) -> None:
        body = reviews(1)[0]["request"]["object"]
        self._template = jsonpatch.apply_patch(body, inject(body, Policy(GRACE)).patch)

    def pod(self, number: int, version: int = 1, *, period: int | None = None, code: int | None = None) -> Json:
        """Return a pod; `period` is the grace period of its deletion, `code` its worker's exit code."""
        owner = f"owner-{number % OWNERS}"
        metadata = {**self._template["metadata"], "name": f"{owner}-{number}", "uid": f"uid-{number}"}
        metadata.pop("generateName", None)
        metadata["labels"] = {**metadata["labels"], "pod-template-hash": "1"}
        reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{owner}-1", "uid": owner}
        metadata |= {"namespace": f"tenant-{number % 10}", "ownerReferences": [{**reference, "controller": True}]}
        metadata["resourceVersion"] = str(version)
        status: Json = {}
        if period is not None:
            at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=period)
            metadata |= {"deletionTimestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}", "deletionGracePeriodSeconds": period}
        if code is not None:
            ended = {"exitCode": code, "finishedAt": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"}
            names = [container["name"] for container in self._template["spec"]["containers"]]
            status = {"containerStatuses": [{"name": name, "state": {"terminated": ended}} for name in names]}
        return {**self._template, "metadata": metadata, "status": status}
