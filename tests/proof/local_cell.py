"""A cell on the tests' own node: everything runs on this machine, and times are measured."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import cast

from tests.node.deployment import Deployment
from tests.node.kubelet import RunningPod
from tests.node.node import Node
from tests.node.runtime import Container
from tests.node.specification import Json, PodSpecification
from tests.proof.admission import Admission
from tests.proof.broker import Broker
from tests.proof.cell import TIMEOUT_SECONDS, Cell, Pod
from tests.proof.ledger import Ledger
from tests.proof.workers import Worker


class LocalCell(Cell):
    """A broker, a ledger, a node, and a Deployment whose pods are sent through the running webhook, or not."""

    def __init__(self, worker: Worker, admission: Admission, directory: Path, *, protected: bool) -> None:
        folder = directory / "ledger"
        folder.mkdir(parents=True)
        folder.chmod(0o777)
        file = folder / "ledger"
        ledger = Ledger(lambda: file.read_text() if file.exists() else "")
        super().__init__(worker, ledger, worker.deployment(folder), protected=protected)
        self.directory = directory
        self.broker = Broker(directory / "broker")
        self._services = {"REDIS_SERVICE_HOST": "127.0.0.1", "REDIS_SERVICE_PORT": str(self.broker.port)}
        self.node = Node(directory / "node", worker.image, self._services)
        self.node.images |= worker.named_images(directory / "images")
        self._admission = admission

    def start(self, replicas: int = 1) -> None:
        self.manifest["spec"]["replicas"] = replicas
        self.deployment = Deployment(self.node, self._admit, self.manifest)
        self.deployment.start()

    def _admit(self, pod: Json) -> Json:
        return self._admission.admit(pod) if self.protected else pod

    def pods(self) -> list[Pod]:
        return list(self.deployment.pods)

    def scale(self, replicas: int) -> None:
        self.deployment.scale(replicas)

    def roll_out(self) -> None:
        self.deployment.roll_out()

    def create(self) -> Pod:
        return self.deployment.create()

    def delete(self, pod: Pod, grace: float | None = None, *, replace: bool = True) -> None:
        running = _running(pod)
        if grace is not None:
            # The API server calls the webhook for the evictions of all pods.
            grace = self._admission.evict(running.pod, running.name, int(grace))
        running.delete(grace)
        if replace:
            self.deployment.create()

    def _run_once(self, argv: list[str]) -> None:
        name = f"job-{time.monotonic_ns()}"
        pod = {"metadata": {"name": name}, "spec": self.template["spec"]}
        specification = PodSpecification(
            pod, self.worker.image, self._services, self.directory / "none", self.node.images
        )
        command = {**self.container("worker"), "command": argv, "args": [], "securityContext": {}}
        command["volumeMounts"] = [mount for mount in command["volumeMounts"] if mount["name"] == "ledger"]
        folder = self.directory / name
        folder.mkdir()
        container = Container(folder, specification.container(command))
        assert container.wait(TIMEOUT_SECONDS), f"{argv} takes more than {TIMEOUT_SECONDS:g} s"
        assert container.exit_code == 0, f"{argv}: {container.log.read_text()}"
        container.remove()

    def hang(self, container: str) -> None:
        command = self.worker.hang if container == "worker" else ["touch", "/tmp/hung"]
        assert _running(self.pod).exec(container, command) == 0

    def run_out_of_memory(self, pod: Pod) -> None:
        _running(pod).run_out_of_memory("worker")
        self.victims |= self.ledger.unfinished_jobs(pod.name)

    def break_hooks(self, pod: Pod) -> None:
        _running(pod).hooks_fail = True

    def restart_kubelet(self, pod: Pod) -> None:
        _running(pod).terminate_again()

    def take_broker_away(self) -> None:
        self.broker.kill()

    def bring_broker_back(self) -> None:
        self.broker.start()

    def status(self) -> Json:
        """Return the webhook's status annotation of a pod that it has patched."""
        for pod in self.deployment.pods:
            with suppress(KeyError):
                status: Json = json.loads(pod.pod["metadata"]["annotations"]["graceful-worker/status"])
                return status
        return {}

    def close(self) -> None:
        """End everything that was started."""
        self.node.close()
        self.broker.kill()


def _running(pod: Pod) -> RunningPod:
    """Return a pod as the node's own type, which all pods have here."""
    return cast(RunningPod, pod)
