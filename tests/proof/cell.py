"""The environment of a scenario: a worker's Deployment, the jobs that it gets, and the means to disturb its pods.

`local_cell.py` contains the cell on the node of these tests, `tests/cluster` the one in a real cluster.
"""

from __future__ import annotations

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from tests.node.specification import Json
from tests.proof.ledger import Ledger
from tests.proof.workers import Worker
from tests.waiting import wait_until

TIMEOUT_SECONDS = 90.0
"""The timeout of a step in seconds."""
SETTLED = 0.7
"""Seconds without another start after which the workers count as busy."""
LONG = 6.0
"""The duration in seconds of a message that exceeds the grace period of the unpatched pod, which is 4 s."""


class Pod(Protocol):
    """A pod of the Deployment."""

    @property
    def name(self) -> str: ...

    @property
    def grace(self) -> int:
        """The grace period in seconds, as the API server has stored it."""

    @property
    def is_deleted(self) -> bool: ...

    @property
    def is_gone(self) -> bool: ...

    def has_started(self, container: str) -> bool: ...

    def restarts(self, container: str) -> int: ...

    def exit_codes(self, container: str) -> list[int]:
        """Return the exit codes of the instances of a container that have ended so far."""


class Cell(ABC):
    """One worker in one scenario, patched by the running webhook or unpatched."""

    def __init__(self, worker: Worker, ledger: Ledger, manifest: Json, *, protected: bool) -> None:
        self.worker = worker
        self.protected = protected
        self.ledger = ledger
        self.manifest = manifest
        self.sent: list[str] = []
        self.victims: set[str] = set()
        self._numbers = itertools.count(1)

    # The pod template, which a scenario may change before it starts the Deployment

    @property
    def template(self) -> Json:
        template: Json = self.manifest["spec"]["template"]
        return template

    def container(self, name: str) -> Json:
        """Return a container of the template."""
        return next(spec for spec in self.template["spec"]["containers"] if spec["name"] == name)

    # The Deployment

    @abstractmethod
    def start(self, replicas: int = 1) -> None:
        """Start the Deployment and wait until its pods are ready."""

    @abstractmethod
    def pods(self) -> list[Pod]:
        """Return all pods, deleted ones included, the oldest first."""

    @property
    def pod(self) -> Pod:
        """The first pod."""
        return self.pods()[0]

    @abstractmethod
    def scale(self, replicas: int) -> None:
        """Change the number of replicas."""

    @abstractmethod
    def roll_out(self) -> None:
        """Replace every pod, and wait until all old pods are gone or terminating."""

    @abstractmethod
    def create(self) -> Pod:
        """Create one more pod."""

    @abstractmethod
    def delete(self, pod: Pod, grace: float | None = None, *, replace: bool = True) -> None:
        """Delete a pod, and let another one follow; `grace` is the grace period in seconds of an eviction."""

    # Jobs

    def send(self, count: int, seconds: float, *, crash: bool = False) -> None:
        """Put jobs into the queue; jobs that crash their worker are victims of the scenario."""
        jobs = [f"j{next(self._numbers)}" for _ in range(count)]
        self.sent += jobs
        self.victims |= set(jobs) if crash else set()
        self._run_once([*self.worker.send, *(f"{job}:{seconds:g}{':crash' if crash else ''}" for job in jobs)])

    @abstractmethod
    def _run_once(self, argv: list[str]) -> None:
        """Run a command in the worker's image to its end, as in a Job."""

    # Waiting

    def until(self, what: str, condition: Callable[[], object], seconds: float = TIMEOUT_SECONDS) -> None:
        """Wait for something.

        Raises:
            TimeoutError: it did not happen in time.

        """
        wait_until(condition, seconds, what, poll=0.01)

    def until_all_workers_are_busy(self) -> None:
        """Wait until jobs have started and no more jobs start."""
        self.until("a job starts", lambda: self.ledger.count("start"))
        count, since = self.ledger.count("start"), time.monotonic()
        while time.monotonic() - since < SETTLED:
            time.sleep(0.02)
            if self.ledger.count("start") != count:
                count, since = self.ledger.count("start"), time.monotonic()

    def until_all_are_done(self) -> None:
        """Wait until every job and every deleted pod has ended, or nothing changes for longer than a job takes."""
        patience = LONG + 4 + (self.worker.idle_seconds if self.protected else 0)
        changed, seen = time.monotonic(), (-1, -1)
        while time.monotonic() - changed < patience:
            lines = self.ledger.lines()
            done = {line.job for line in lines if line.event != "start"} | self.victims
            ending = sum(pod.is_deleted and not pod.is_gone for pod in self.pods())
            if done.issuperset(self.sent) and not ending:
                return
            if (len(lines), ending) != seen:
                seen, changed = (len(lines), ending), time.monotonic()
            time.sleep(0.05)

    # Disturbances

    @abstractmethod
    def hang(self, container: str) -> None:
        """Let a container of the first pod fail its liveness probe until it is started again."""

    @abstractmethod
    def run_out_of_memory(self, pod: Pod) -> None:
        """Kill all processes of a pod's worker; its current jobs are this scenario's victims."""

    @abstractmethod
    def break_hooks(self, pod: Pod) -> None:
        """Let the runtime fail to run the pod's hooks."""

    @abstractmethod
    def restart_kubelet(self, pod: Pod) -> None:
        """Restart the kubelet while a pod is terminating: the kubelet begins to end the pod again."""

    @abstractmethod
    def take_broker_away(self) -> None:
        """Stop the broker."""

    @abstractmethod
    def bring_broker_back(self) -> None:
        """Start the broker again, with its data."""
