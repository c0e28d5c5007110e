"""The scenarios: every way in which Kubernetes ends a pod or one of its containers, each a function with a cell.

To add one, write its function here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.proof.cell import LONG, Cell, Pod

EVICTION_GRACE = 1
"""The grace period of an eviction in seconds, less than a message takes; in place of an autoscaler's 600 s, or of 0."""
SHORT = 2.0
"""The duration in seconds of a message that ends within the unpatched pod's grace period."""
DRAIN_FOLDER = "/drain"
CRASH_CODE = 70
"""The exit code with which a job crashes its process."""


@dataclass(frozen=True)
class Scenario:
    """A scenario, and its special requirements for a protected pod; bounds are in seconds."""

    run: Callable[[Cell], None]
    idle: bool = False
    """No message is in progress at the deletion: the drain takes as long as an idle run."""
    start_up: float = 0
    """How much of the drain the framework's own start may take."""
    sidecar_bound: float | None = 1.0
    """From the worker's end to the sidecar's; None if the sidecar may end first."""
    alone: bool = False
    """Whether the scenario has so many containers that parallel cells would change its times."""
    restart_bound: float | None = None
    """From the failed liveness probe to the container's end."""

    @property
    def name(self) -> str:
        return self.run.__name__.replace("_", "-")

    @property
    def title(self) -> str:
        """What happens, for the tables: the first line of the function's docstring."""
        return (self.run.__doc__ or "").split("\n")[0].rstrip(".")


def rollout(cell: Cell) -> None:
    """Rollout of a Deployment of 8 pods."""
    cell.start(replicas=8)
    cell.send(2 * 8 * cell.worker.slots, LONG)
    cell.until_all_workers_are_busy()
    cell.roll_out()
    cell.until_all_are_done()


def scale_down(cell: Cell) -> None:
    """Scale-down from 4 pods to 1."""
    cell.start(replicas=4)
    cell.send(2 * 4 * cell.worker.slots, LONG)
    cell.until_all_workers_are_busy()
    cell.scale(1)
    cell.until_all_are_done()


def deletion(cell: Cell) -> None:
    """Deletion during a message."""
    cell.start()
    _delete_during_a_message(cell)
    cell.until_all_are_done()


def idle(cell: Cell) -> None:
    """Deletion while idle."""
    cell.start()
    cell.send(cell.worker.slots, 0.2)
    cell.until_all_are_done()
    time.sleep(1)
    cell.delete(cell.pod, replace=False)
    cell.until("the pod is gone", lambda: cell.pod.is_gone)


def young(cell: Cell) -> None:
    """Deletion in the first 200 ms of the container's life, with messages waiting."""
    cell.start(replicas=0)
    cell.send(2 * cell.worker.slots, SHORT)
    for age in (0.02, 0.08, 0.14, 0.2):
        _delete_at_age(cell, cell.create(), age)
    cell.create()
    cell.until_all_are_done()


def _delete_at_age(cell: Cell, pod: Pod, seconds: float) -> None:
    cell.until("the container starts", lambda: pod.has_started("worker"))
    time.sleep(seconds)
    cell.delete(pod, replace=False)


def eviction(cell: Cell) -> None:
    """Eviction that asks for 1 s."""
    cell.start()
    _delete_during_a_message(cell, EVICTION_GRACE)
    cell.until_all_are_done()


def worker_liveness(cell: Cell) -> None:
    """Liveness failure of the worker during a message, then normal work again."""
    _fail_liveness(cell, "worker", LONG)


def sidecar_liveness(cell: Cell) -> None:
    """Liveness failure of the sidecar while the worker works."""
    _fail_liveness(cell, "sidecar", LONG)


def _fail_liveness(cell: Cell, container: str, seconds: float) -> None:
    """Let a container hang during messages of some seconds, and send more messages after its restart."""
    # Like the usual 30 s, longer than the message, Dramatiq's exit (3 s) and a sidecar's own timeout (5 s) together.
    cell.template["spec"]["terminationGracePeriodSeconds"] = 20
    cell.container(container)["livenessProbe"]["periodSeconds"] = 1
    cell.start()
    cell.send(cell.worker.slots, seconds)
    cell.until_all_workers_are_busy()
    cell.hang(container)
    cell.until(f"the {container} is restarted", lambda: cell.pod.restarts(container))
    cell.send(cell.worker.slots, 0.5)
    cell.until_all_are_done()


def out_of_memory(cell: Cell) -> None:
    """SIGKILL of the worker while draining."""
    cell.start()
    _delete_during_a_message(cell)
    time.sleep(1)
    cell.run_out_of_memory(cell.pod)
    cell.until("the pod is gone", lambda: cell.pod.is_gone)
    cell.until_all_are_done()


def hook_not_run(cell: Cell) -> None:
    """The runtime fails to run any preStop hook.

    So nothing holds the sidecar, which exits at the stop signal.
    """
    cell.start()
    cell.break_hooks(cell.pod)
    _delete_during_a_message(cell)
    cell.until_all_are_done()


def own_hook_fails(cell: Cell) -> None:
    """The worker's own preStop hook fails."""
    cell.container("worker")["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/false"]}}}
    cell.start()
    _delete_during_a_message(cell)
    cell.until_all_are_done()


def second_term(cell: Cell) -> None:
    """A second SIGTERM, from a kubelet that was restarted."""
    cell.start()
    _delete_during_a_message(cell)
    time.sleep(1)
    cell.restart_kubelet(cell.pod)
    cell.until_all_are_done()


def crashes(cell: Cell) -> None:
    """A worker that crashes on every message, deleted then."""
    cell.start()
    cell.send(3, 0.3, crash=True)
    cell.until("a message crashes", lambda: cell.ledger.count("crash"))
    time.sleep(3)
    # A framework may survive its job; if it does not, CrashLoopBackOff must show the job's exit code.
    assert set(cell.pod.exit_codes("worker")) <= {CRASH_CODE}
    cell.delete(cell.pod, replace=False)
    cell.until("the pod is gone", lambda: cell.pod.is_gone)


def broker_gone(cell: Cell) -> None:
    """The broker is gone for 1.5 s during the drain."""
    cell.start()
    _delete_during_a_message(cell)
    time.sleep(0.3)
    cell.take_broker_away()
    time.sleep(1.5)
    cell.bring_broker_back()
    cell.until_all_are_done()


def by_hand(cell: Cell) -> None:
    """A pod that follows the article by hand."""
    worker, sidecar = cell.container("worker"), cell.container("sidecar")
    run = " ".join(cell.worker.by_hand or cell.worker.command)
    loop = f"while [ ! -f {DRAIN_FOLDER}/kill_me ]; do {run}; done; touch {DRAIN_FOLDER}/kill_sidecar"
    worker["command"] = ["/bin/sh", "-c", loop]
    worker["lifecycle"] = {"preStop": {"exec": {"command": ["touch", f"{DRAIN_FOLDER}/kill_me"]}}}
    wait = f"until [ -f {DRAIN_FOLDER}/kill_sidecar ]; do sleep 0.2; done"
    sidecar["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/sh", "-c", wait]}}}
    for container in (worker, sidecar):
        container.setdefault("volumeMounts", []).append({"name": "drain", "mountPath": DRAIN_FOLDER})
    cell.template["spec"]["volumes"].append({"name": "drain", "emptyDir": {}})
    cell.template["spec"]["terminationGracePeriodSeconds"] = 20
    cell.start()
    _delete_during_a_message(cell)
    cell.until_all_are_done()


def shared_processes(cell: Cell) -> None:
    """Deletion during a message, with a PID namespace that the containers share."""
    cell.template["spec"]["shareProcessNamespace"] = True
    cell.start()
    _delete_during_a_message(cell)
    cell.until_all_are_done()


def restricted(cell: Cell) -> None:
    """Deletion during a message, with read-only roots, no capabilities and two users."""
    for name, user in (("worker", 1000), ("sidecar", 2000)):
        container = cell.container(name)
        container["securityContext"] = {
            "runAsNonRoot": True,
            "runAsUser": user,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        container.setdefault("volumeMounts", []).append({"name": f"tmp-{name}", "mountPath": "/tmp"})
        cell.template["spec"]["volumes"].append({"name": f"tmp-{name}", "emptyDir": {}})
    cell.start()
    _delete_during_a_message(cell)
    cell.until_all_are_done()


def _delete_during_a_message(cell: Cell, grace: float | None = None) -> None:
    """Make all workers of the first pod busy, with as many messages waiting, and delete it."""
    cell.send(2 * cell.worker.slots, LONG)
    cell.until_all_workers_are_busy()
    cell.delete(cell.pod, grace)


SCENARIOS = [
    Scenario(rollout, alone=True),
    Scenario(scale_down),
    Scenario(deletion),
    Scenario(idle, idle=True),
    Scenario(young, idle=True, start_up=1),
    Scenario(eviction),
    Scenario(worker_liveness),
    Scenario(sidecar_liveness, restart_bound=5),
    Scenario(out_of_memory, sidecar_bound=30),
    Scenario(hook_not_run, sidecar_bound=None),
    Scenario(own_hook_fails),
    Scenario(second_term),
    # No worker drains in a container that waits for its restart; for the sidecar, this looks like a slow start.
    Scenario(crashes, idle=True, sidecar_bound=5),
    Scenario(broker_gone),
    Scenario(by_hand),
    Scenario(shared_processes),
    Scenario(restricted),
]


def scenario(name: str) -> Scenario:
    """Return a scenario by its name."""
    return next(scenario for scenario in SCENARIOS if scenario.name == name)
