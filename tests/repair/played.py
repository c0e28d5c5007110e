"""An API server with scripted controllers: each request for a restarted workload shows its next state."""

from __future__ import annotations

import copy
import json
import os
import signal
from typing import Any

import httpx2

from tests.inspection.api_server import KINDS, ApiServer, Object, status
from tests.inspection.cases import NOW
from webhook.core.annotations import INJECTED_LABEL, STATUS_ANNOTATION
from webhook.repair.rollout_watch import Clock

STATUS = {
    "Deployment": ("updatedReplicas", "availableReplicas"),
    "StatefulSet": ("updatedReplicas", "availableReplicas"),
    "DaemonSet": ("updatedNumberScheduled", "numberAvailable"),
}


class PlayedClock(Clock):
    """A clock that advances only while the program waits."""

    def __init__(self, played: Played) -> None:
        self._played = played

    def monotonic(self) -> float:
        return self._played.seconds

    def now(self) -> Any:
        return NOW

    async def sleep(self, seconds: float) -> None:
        self._played.seconds += seconds


class Played(ApiServer):
    """An API server that plays the acts of each owner after its restart; the last act stays.

    An act has the numbers `updated` and `available`, the number of remaining `old` pods, and the `new` pods: each is
    `protected`, `bare`, or an older version that has protected it. It may have `conditions`; `is: gone`, `silent` or
    `rejected`; and `ctrl-c: 1`.
    """

    def __init__(
        self, objects: list[Object], acts: dict[str, list[dict[str, Any]]], meanwhile: dict[str, Any] | None = None
    ) -> None:
        super().__init__(copy.deepcopy(objects))
        self.seconds = 0.0
        self.restarted: list[tuple[str, float]] = []
        self._acts = acts
        self._meanwhile = meanwhile or {}
        self._left: dict[str, list[dict[str, Any]]] = {}
        self._old: dict[str, list[Object]] = {}
        for each in self.objects:
            if each["kind"] == "Pod":
                each["metadata"]["uid"] = f"uid-of-{each['metadata']['name']}"

    def meanwhile(self, changes: dict[str, dict[str, Any]]) -> None:
        """Change owners as other clients do: their `spec`, or their `pods`, each of which is as in an act."""
        for owner, change in changes.items():
            kind, name = KINDS[f"{owner.partition('/')[0]}s"], owner.partition("/")[2]
            self._owner(kind, name)["spec"] |= change.get("spec", {})
            if pods := change.get("pods"):
                old = [pod for pod in self.objects if pod["kind"] == "Pod" and self._belongs_to(kind, name, pod)]
                self.objects = [each for each in self.objects if each not in old]
                self.objects += [_new(old[0], number, state) for number, state in enumerate(pods)]

    def _owner(self, kind: str, name: str) -> Object:
        (found,) = (each for each in self.objects if each["kind"] == kind and each["metadata"]["name"] == name)
        return found

    def respond(self, request: httpx2.Request) -> httpx2.Response:
        *_, resource, name = request.url.path.split("/")
        owner = f"{resource.removesuffix('s')}/{name}"
        if request.method == "PATCH":
            return self._restart(request, owner, KINDS[resource], name)
        if acts := self._left.get(owner):
            act = acts.pop(0) if len(acts) > 1 else acts[0]
            if act.get("is") == "silent":
                return status(503, "etcd is gone")
            self._play(act, owner, KINDS[resource], name)
        return super().respond(request)

    def _restart(self, request: httpx2.Request, owner: str, kind: str, name: str) -> httpx2.Response:
        assert request.headers["Content-Type"] == "application/strategic-merge-patch+json"
        self.requests.append(request)
        self.restarted.append((owner, self.seconds))
        acts = list(self._acts[owner])
        if acts[0].get("is") == "rejected":
            return status(403, f'{owner} is forbidden: User "me" cannot patch it')
        found = self._owner(kind, name)
        change = json.loads(request.content)
        self.meanwhile(self._meanwhile)
        self._meanwhile = {}
        found["spec"]["template"].setdefault("metadata", {}).update(change["spec"]["template"]["metadata"])
        found["metadata"]["generation"] = found["metadata"].get("generation", 1) + 1
        self._left[owner] = acts
        self._old[owner] = [pod for pod in self.objects if pod["kind"] == "Pod" and self._belongs_to(kind, name, pod)]
        return httpx2.Response(200, json=found)

    @staticmethod
    def _belongs_to(kind: str, name: str, pod: Object) -> bool:
        (owner,) = pod["metadata"].get("ownerReferences") or [{"kind": "", "name": ""}]
        workload = owner["name"].rpartition("-")[0] if owner["kind"] == "ReplicaSet" else owner["name"]
        return bool(workload == name) and (owner["kind"] == "ReplicaSet" or owner["kind"] == kind)

    def _play(self, act: dict[str, Any], owner: str, kind: str, name: str) -> None:
        found = self._owner(kind, name)
        old = self._old[owner]
        others = [each for each in self.objects if each["kind"] != "Pod" or not self._belongs_to(kind, name, each)]
        new = [_new(old[0], number, state) for number, state in enumerate(act.get("new", ()))]
        self.objects = [*others, *old[: act.get("old", 0)], *new]
        updated, available = STATUS[kind]
        found["status"] |= {updated: act.get("updated", 0), available: act.get("available", 0)}
        found["status"] |= {"observedGeneration": found["metadata"]["generation"]}
        found["status"]["conditions"] = act.get("conditions", [])
        if kind == "Deployment":
            found["status"]["replicas"] = act.get("updated", 0) + act.get("old", 0)
        if act.get("is") == "gone":
            self.objects.remove(found)
        if act.get("ctrl-c"):
            os.kill(os.getpid(), signal.SIGINT)


def _new(old: Object, number: int, state: str) -> Object:
    """Copy an old pod under a new name, in a state as in an act."""
    pod = copy.deepcopy(old)
    metadata = pod["metadata"]
    metadata["name"] = f"{metadata['name'].rpartition('-')[0]}-new-{number}"
    metadata["uid"] = f"uid-of-{metadata['name']}"
    metadata.get("labels", {}).pop(INJECTED_LABEL, None)
    metadata.pop("annotations", None)
    if state != "bare":
        version = "0.1.0" if state == "protected" else state
        metadata.setdefault("labels", {})[INJECTED_LABEL] = "true"
        record = {"version": version, "workers": {"worker": {"mode": "signal"}}}
        metadata["annotations"] = {STATUS_ANNOTATION: json.dumps(record)}
    return pod
