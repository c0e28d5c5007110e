"""A cell of the matrix: one worker in one scenario, as patched by the running webhook or as it was written."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from demo.client import Webhook
from tests.node.deployment import Deployment
from tests.node.kubelet import Node, RunningPod
from tests.node.runtime import Container
from tests.node.specification import Json, PodSpecification
from tests.proof.broker import Broker
from tests.proof.ledger import Ledger
from tests.proof.workers import Worker

PATIENCE = 90.0
"""Seconds that no step takes."""
SETTLED = 0.7
"""Seconds without another start after which the workers are taken to have their hands full."""
LONG = 6.0
"""Seconds of a message that takes longer than the grace period of the unpatched pod, which is 4 s."""


class Cell:
    """What a scenario works with: a broker, a ledger, a node, a Deployment, and the means to disturb them."""

    def __init__(self, worker: Worker, webhook: Webhook, room: Path, *, protected: bool) -> None:
        self.worker = worker
        self.protected = protected
        self.room = room
        (room / "ledger").mkdir(parents=True)
        (room / "ledger").chmod(0o777)
        self.ledger = Ledger(room / "ledger" / "ledger")
        self.broker = Broker(room / "broker")
        services = {"REDIS_SERVICE_HOST": "127.0.0.1", "REDIS_SERVICE_PORT": str(self.broker.port)}
        self.node = Node(room / "node", worker.image, services)
        self.manifest = worker.deployment(room / "ledger")
        self.warnings: list[str] = []
        self.sent: list[str] = []
        self.victims: set[str] = set()
        self._webhook = webhook
        self._numbers = itertools.count(1)
        self._services = services

    @property
    def template(self) -> Json:
        """The pod template, which a scenario may change before it starts the Deployment."""
        template: Json = self.manifest["spec"]["template"]
        return template

    def container(self, name: str) -> Json:
        """Return a container of the template."""
        return next(spec for spec in self.template["spec"]["containers"] if spec["name"] == name)

    def start(self, replicas: int = 1) -> None:
        """Start the Deployment and wait until its pods are ready."""
        self.manifest["spec"]["replicas"] = replicas
        self.deployment = Deployment(self.node, self._admit, self.manifest)
        self.deployment.start()

    def _admit(self, pod: Json) -> Json:
        if not self.protected:
            return pod
        patched, warnings = self._webhook.admit(pod)
        self.warnings += [text for text in warnings if text not in self.warnings]
        return patched

    @property
    def pod(self) -> RunningPod:
        """The first pod."""
        return self.deployment.pods[0]

    def send(self, count: int, seconds: float, *, crash: bool = False) -> None:
        """Put jobs into the queue; those that are to crash their worker are victims of the scenario."""
        jobs = [f"j{next(self._numbers)}" for _ in range(count)]
        self.sent += jobs
        self.victims |= set(jobs) if crash else set()
        arguments = [f"{job}:{seconds:g}{':crash' if crash else ''}" for job in jobs]
        self._run_once([*self.worker.send, *arguments])

    def _run_once(self, argv: list[str]) -> None:
        """Run a command in the worker's image, as a Job would."""
        pod = {"metadata": {"name": f"job-{next(self._numbers)}"}, "spec": self.template["spec"]}
        specification = PodSpecification(pod, self.worker.image, self._services, self.room / "none")
        command = {**self.container("worker"), "command": argv, "args": [], "securityContext": {}}
        command["volumeMounts"] = [mount for mount in command["volumeMounts"] if mount["name"] == "ledger"]
        folder = self.room / specification.name
        folder.mkdir()
        container = Container(folder, specification.container(command))
        assert container.wait(PATIENCE), f"{argv} takes more than {PATIENCE:g} s"
        assert container.exit_code == 0, f"{argv}: {container.log.read_text()}"
        container.remove()

    # Waiting

    def until(self, what: str, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Wait for something.

        Raises:
            TimeoutError: it did not come.

        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:g} s: {what}")
            time.sleep(0.01)

    def until_hands_are_full(self) -> None:
        """Wait until jobs have started and no further one does."""
        self.until("a job starts", lambda: self.ledger.count("start"))
        self.until_quiet("start", SETTLED)

    def until_quiet(self, event: str, seconds: float) -> None:
        """Wait until nothing of a kind has been written for some seconds."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < seconds:
            count = self.ledger.count(event)
            if count != seen:
                seen, since = count, time.monotonic()
            time.sleep(0.02)

    def until_all_are_done(self) -> None:
        """Wait until every job and every deleted pod has ended, or nothing happens for longer than a job takes."""
        changed, seen = time.monotonic(), (-1, -1)
        while time.monotonic() - changed < LONG + 4 + (self.worker.idle_seconds if self.protected else 0):
            lines = self.ledger.lines()
            done = {line.job for line in lines if line.event != "start"} | self.victims
            ending = [pod for pod in self.deployment.pods if pod.deleted_at and not pod.gone.is_set()]
            if done.issuperset(self.sent) and not ending:
                return
            if (len(lines), len(ending)) != seen:
                seen, changed = (len(lines), len(ending)), time.monotonic()
            time.sleep(0.05)

    # Disturbing

    def delete(self, pod: RunningPod, grace: float | None = None, *, replace: bool = True) -> None:
        """Delete a pod; its Deployment creates another one at once."""
        pod.delete(grace)
        if replace:
            self.deployment.create()

    def hang(self, container: str) -> None:
        """Let a container of the first pod fail its liveness probe from now on, until it is started again."""
        assert self.pod.exec(container, ["touch", "/tmp/hung"]) == 0

    def run_out_of_memory(self, pod: RunningPod) -> None:
        """Kill a pod's worker, whose jobs in hand are then this scenario's victims."""
        pod.run_out_of_memory("worker")
        self.victims |= self.ledger.in_hand(pod.name)

    # The end

    def close(self) -> None:
        """End everything that was started."""
        self.node.close()
        self.broker.kill()

    def status(self) -> Json:
        """Return what the webhook says of the pods it has patched."""
        for pod in self.deployment.pods:
            with suppress(KeyError):
                status: Json = json.loads(pod.pod["metadata"]["annotations"]["graceful-worker/status"])
                return status
        return {}
