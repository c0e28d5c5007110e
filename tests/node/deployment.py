"""The Deployment controller's part: replicas, scale-down and rolling update.

It uses the defaults of a Deployment, maxSurge and maxUnavailable of 25 %; terminating pods do not count.
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable

from tests.node.kubelet import RunningPod
from tests.node.node import Node
from tests.node.specification import Json

Admission = Callable[[Json], Json]
"""A function that takes a pod that is about to be created, and returns the pod that the API server stores."""
POLL_SECONDS = 0.02


class Deployment:
    """Keeps a number of a template's pods running on a node; every pod is sent through admission first."""

    def __init__(self, node: Node, admission: Admission, manifest: Json) -> None:
        self.pods: list[RunningPod] = []
        self._node = node
        self._admit = admission
        self._name = manifest["metadata"]["name"]
        self._replicas: int = manifest["spec"]["replicas"]
        self._template = manifest["spec"]["template"]
        self._revision = 1
        self._old: set[int] = set()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def start(self, seconds: float = 120) -> None:
        """Create the pods and wait until they are ready."""
        self._reconcile_until(lambda: len(self._ready(self.pods)) == self._replicas, seconds)

    def scale(self, replicas: int) -> list[RunningPod]:
        """Change the number of replicas; return at once, with the pods that are being deleted."""
        self._replicas = replicas
        surplus = self._alive()[replicas:]
        for pod in surplus:
            pod.delete()
        return surplus

    def roll_out(self, seconds: float = 300) -> list[RunningPod]:
        """Replace every pod by a rolling update; return the pods of the old revision when all have been deleted."""
        old = self._alive()
        self._revision += 1
        self._old = set(map(id, old))
        self._reconcile_until(lambda: not self._of(old_revision=True) and self._complete(), seconds)
        return old

    def _complete(self) -> bool:
        return len(self._ready(self._of(old_revision=False))) == self._replicas

    def _reconcile_until(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._name}: {len(self._ready(self.pods))} pods are ready after {seconds:g} s")
            self._reconcile()
            time.sleep(POLL_SECONDS)

    def _reconcile(self) -> None:
        surge, unavailable = math.ceil(self._replicas / 4), self._replicas // 4
        old, new = self._of(old_revision=True), self._of(old_revision=False)
        directory = self._replicas + (surge if old else 0) - len(old) - len(new)
        for _ in range(min(directory, self._replicas - len(new))):
            self.create()
        spare = len(self._ready(old)) + len(self._ready(new)) - (self._replicas - unavailable)
        for pod in old[: max(0, spare)]:
            pod.delete()

    def create(self) -> RunningPod:
        """Create one pod, like the controller."""
        name = f"{self._name}-{self._revision}-{next(self._numbers):02}"
        metadata = {**self._template["metadata"], "generateName": f"{self._name}-{self._revision}-"}
        stored = self._admit({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self._template["spec"]})
        pod = self._node.run({**stored, "metadata": {**stored["metadata"], "name": name}})
        self.pods.append(pod)
        return pod

    def _of(self, *, old_revision: bool) -> list[RunningPod]:
        return [pod for pod in self._alive() if (id(pod) in self._old) is old_revision]

    def _alive(self) -> list[RunningPod]:
        return [pod for pod in self.pods if not pod.terminating.is_set()]

    @staticmethod
    def _ready(pods: list[RunningPod]) -> list[RunningPod]:
        return [pod for pod in pods if pod.ready]
