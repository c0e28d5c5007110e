"""The node: has images by name, runs pods, and runs their liveness probes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from tests.node.kubelet import BACK_OFF, RunningPod
from tests.node.runtime import Image
from tests.node.specification import Json, PodSpecification, is_native_sidecar


class LivenessProbe:
    """Runs a container's exec liveness probe according to its spec, and ends the container when the probe fails."""

    def __init__(self, pod: RunningPod, container: str) -> None:
        self._pod = pod
        self._state = pod.state(container)
        self._probe = self._state.spec["livenessProbe"]

    def run(self) -> None:
        """Probe until the pod terminates: https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/."""
        period, threshold = self._probe.get("periodSeconds", 10), self._probe.get("failureThreshold", 3)
        failures, seen = 0, None
        while not self._pod.terminating.wait(period):
            instance = self._state.running
            if instance is None:
                continue
            failures = failures if instance is seen else 0
            seen = instance
            code = instance.exec(self._probe["exec"]["command"], self._probe.get("timeoutSeconds", 1))
            failures = 0 if code == 0 else failures + 1
            if failures == threshold:
                self._pod.fail_liveness(self._state.name)


class Node:
    """Runs pods, and ends all of them on `close`."""

    def __init__(
        self, directory: Path, image: Image, services: Mapping[str, str] | None = None, back_off: float = BACK_OFF
    ) -> None:
        self.pods: list[RunningPod] = []
        self.images: dict[str, Image] = {}
        """The images by name; containers with other images use the default image of the node."""
        self._directory = directory
        self._image = image
        self._services = services or {}
        self._back_off = back_off

    def run(self, pod: Json) -> RunningPod:
        """Start a pod."""
        directory = self._directory / pod["metadata"]["name"]
        directory.mkdir(parents=True)
        specification = PodSpecification(pod, self._image, self._services, directory / "volumes", self.images)
        running = RunningPod(specification, directory, self._back_off)
        self.pods.append(running)
        sidecars = filter(is_native_sidecar, pod["spec"].get("initContainers") or ())
        for spec in (*pod["spec"]["containers"], *sidecars):
            if "exec" in (spec.get("livenessProbe") or {}):
                threading.Thread(target=LivenessProbe(running, spec["name"]).run, daemon=True).start()
        return running

    def close(self) -> None:
        """End every pod at once."""
        threads = [threading.Thread(target=pod.remove) for pod in self.pods]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
