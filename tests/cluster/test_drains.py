"""How drains end on a real node, as `graceful-worker drains` and `watch` report it."""

from __future__ import annotations

import datetime
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from lightkube import Client

from tests.apiserver.watch_process import WatchProcess
from tests.cluster.settings import read_harm_refusal, read_kubelet
from tests.cluster.test_harm import RAISED, WORKER
from tests.cluster.test_scenarios import NAME, configured
from tests.cluster.watched_pods import WatchedNamespace, WatchedPod, watched_namespace
from tests.cluster.workloads import Workload, drains, kubectl, objects, running_watch
from tests.deploy.test_drain_watch import rules
from tests.drains.process import DrainsProcess
from tests.proof.matrix import running_webhook
from tests.watch.prometheus import Prometheus, checked, missing, prometheus

REFUSAL = read_harm_refusal()
KUBELET, NO_KUBELET = read_kubelet()
needs_kubelet = pytest.mark.skipif(bool(NO_KUBELET), reason=NO_KUBELET)
needs_prometheus = pytest.mark.skipif(bool(missing()), reason=missing())
pytestmark = [pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL), pytest.mark.timeout(400)]

MESSAGE = 12
"""Seconds of a message: long enough for every observer of the drain to start, on a busy machine."""
SHORT = 15
"""Seconds of a grace period that the worker's message outlasts."""
CUT = 10
"""Seconds to which a longer period is shortened."""
NEVER_ENDS = [WORKER, "after=600"]
NO_MEMORY = {"command": [WORKER, "after=memory"], "resources": {"limits": {"memory": "64Mi"}}}
TERMINAL = (24, 200)
DRAWN_LATE = 2.5
"""Seconds by which the displayed time left may differ: it is in whole seconds, and drawn once a second."""
LATE = 5.0
"""Seconds after the deadline within which the kubelet kills, on a busy node."""


@dataclass
class Scene:
    """A namespace whose pods are sent to the webhook, and a watch that follows their drains."""

    namespace: WatchedNamespace
    watch: WatchProcess
    directory: Path

    def workload(self, name: str, worker: list[str] | dict[str, object], **annotations: str) -> Workload:
        return Workload(self.namespace, name, worker, **annotations)

    def drains(self, name: str, *arguments: str, size: tuple[int, int] | None = None) -> DrainsProcess:
        return drains(self.directory / name, "-n", self.namespace.name, *arguments, size=size)

    def waiting(self, *targets: str) -> DrainsProcess:
        """Wait for the drains of some pods or owners."""
        return self.drains(targets[0].replace("/", "-"), "--wait", *targets)

    def until_counted(self, workload: Workload) -> dict[str, float]:
        """Wait until the watch has counted an end, and return the counts of a workload's drains by outcome."""
        self.watch.until(lambda: bool(workload.outcomes(self.watch)))
        return workload.outcomes(self.watch)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("drains")
    chosen = {NAME: f"{time.time_ns():x}"}
    with ExitStack() as stack:
        client = Client()
        stack.callback(client.close)
        webhook = stack.enter_context(running_webhook(os.environ["KUBECONFIG"]))
        stack.enter_context(configured(client, webhook.url, webhook.ca.read_bytes(), chosen))
        namespace = stack.enter_context(watched_namespace(chosen))
        yield Scene(namespace, stack.enter_context(running_watch(directory)), directory)


# Two concurrent rollouts: in one the worker finishes, in the other it is killed


@dataclass
class Rollouts:
    """A rollout whose worker finishes its message, and one whose worker is killed before it does."""

    scene: Scene
    clean: Workload
    killed: Workload
    old: dict[str, WatchedPod]
    left: dict[str, tuple[float, float]]
    """The time left of a drain, by owner: as it was shown, and by this machine's clock."""
    codes: dict[str, int]
    lines: dict[str, list[str]]
    server: Prometheus | None


@pytest.fixture(scope="module")
def rollouts(scene: Scene) -> Iterator[Rollouts]:
    with ExitStack() as stack:
        server = None
        if not missing():
            server = stack.enter_context(
                prometheus(scene.directory, scene.watch.port, checked(rules(), scene.directory))
            )
        clean = scene.workload("clean", [WORKER, f"after={MESSAGE}"])
        killed = scene.workload("killed", NEVER_ENDS, grace_period=str(SHORT))
        old = {each.name: each.first_pod() for each in (clean, killed)}
        clean.restart()
        killed.restart()
        waits = {name: stack.enter_context(scene.waiting(f"deployment/{name}")) for name in old}
        left = shown_time_left(scene, set(old))
        codes = {name: wait.end() for name, wait in waits.items()}
        lines = {name: wait.lines for name, wait in waits.items()}
        scene.until_counted(killed)
        scene.until_counted(clean)
        yield Rollouts(scene, clean, killed, old, left, codes, lines, server)


def shown_time_left(scene: Scene, owners: set[str]) -> dict[str, tuple[float, float]]:
    """Wait until drains of all owners are shown; return the time left of each, shown and by this machine's clock."""
    found: dict[str, tuple[float, float]] = {}
    deadline = time.monotonic() + 60
    while found.keys() != owners:
        assert time.monotonic() < deadline, f"no drains of {owners - found.keys()} are shown"
        with scene.drains("look", "-o", "json") as look:
            assert look.end() == 0, look.errors
        for drain in json.loads(look.text)["drains"]:
            found.setdefault(drain["owner"]["name"], (drain["leftSeconds"], seconds_until(drain["deadline"])))
    return found


def seconds_until(instant: str) -> float:
    return (datetime.datetime.fromisoformat(instant) - datetime.datetime.now(datetime.UTC)).total_seconds()


def test_waiting_for_a_rollout_whose_worker_finishes_succeeds(rollouts: Rollouts) -> None:
    lines = rollouts.lines["clean"]
    assert rollouts.codes["clean"] == 0, lines
    assert lines[-1] == "1 drain ended: 1 finished."
    assert any(f"/{rollouts.old['clean'].name} drains: deployment/clean, (signal), rollout" in line for line in lines)


def test_waiting_for_a_rollout_whose_worker_is_killed_fails(rollouts: Rollouts) -> None:
    lines = rollouts.lines["killed"]
    assert rollouts.codes["killed"] == 1, lines
    namespace, pod = rollouts.scene.namespace.name, rollouts.old["killed"].name
    assert lines[-2:] == [
        "1 drain ended: 1 killed.",
        f"killed: {namespace}/{pod}. The worker was killed at the end of its grace period.",
    ]


def test_the_kubelet_kills_when_the_time_left_is_over(rollouts: Rollouts) -> None:
    for shown, left in rollouts.left.values():
        assert abs(left - shown) <= DRAWN_LATE
    seconds = [line for line in rollouts.lines["killed"] if f"{rollouts.old['killed'].name} killed after" in line]
    duration = float(seconds[0].rpartition(" after ")[2].split()[0])
    assert SHORT - 1 <= duration <= SHORT + LATE


def test_each_end_is_counted_once(rollouts: Rollouts) -> None:
    watch = rollouts.scene.watch
    assert rollouts.clean.outcomes(watch) == {"finished": 1}
    assert rollouts.killed.outcomes(watch) == {"killed": 1}


def test_the_killed_drain_has_one_event_and_the_finished_one_none(rollouts: Rollouts) -> None:
    rollouts.scene.watch.until(lambda: bool(rollouts.killed.events()))
    (event,) = rollouts.killed.events()
    assert (event["type"], event["reason"]) == ("Warning", "WorkerKilled")
    assert f"{rollouts.old['killed'].name} was killed {SHORT} s after the deletion" in event["message"]
    # This drain ended first, so its event would exist by now.
    assert rollouts.clean.events() == []


@needs_prometheus
def test_the_alert_on_killed_messages_fires_for_the_killed_drain_only(rollouts: Rollouts) -> None:
    server = rollouts.server
    assert server
    namespace = rollouts.scene.namespace.name
    server.until(f'graceful_worker_drains_total{{namespace="{namespace}", owner="clean", outcome="finished"}} == 1')
    (alert,) = server.until(
        f'ALERTS{{alertname="GracefulWorkerMessagesKilled", namespace="{namespace}", owner="killed"}}'
    )
    assert alert["metric"].items() >= {("owner_kind", "Deployment"), ("outcome", "killed")}
    (rule,) = (rule for rule in rules() if rule.get("alert") == "GracefulWorkerMessagesKilled")
    labels = [series["metric"] for series in server.query(rule["expr"])]
    # Other users of the cluster may have drains, too.
    assert {each["owner"] for each in labels if each["namespace"] == namespace} == {"killed"}


def test_a_terminal_shows_the_time_left_counting_down(scene: Scene) -> None:
    workload = scene.workload("shown", NEVER_ENDS, grace_period=str(SHORT))
    pod = workload.first_pod()
    with scene.drains("terminal", "--watch", f"deployment/{workload.name}", size=TERMINAL) as live:
        live.until("No drains.")
        workload.restart()
        pod.until("being deleted", lambda: "deletionTimestamp" in pod.seen["metadata"])
        shown: list[int] = []
        while not shown or shown[-1] > 2:
            live.until(f"s of {SHORT}s")
            shown.append(int(re.findall(rf"(\d+)s of {SHORT}s", live.text)[-1]))
            assert abs(shown[-1] - seconds_until(pod.seen["metadata"]["deletionTimestamp"])) <= DRAWN_LATE
        live.until("killed")
        assert live.interrupt() == 0
    assert shown == sorted(shown, reverse=True)
    assert shown[0] >= SHORT - 4


# Cut short


def check_cut(scene: Scene, workload: Workload, pod: WatchedPod, wait: DrainsProcess) -> str:
    """Check that a worker was killed before its own grace period was over; return the message of the Event."""
    with wait:
        assert wait.end() == 1
    assert wait.lines[-1].startswith(f"cut: {scene.namespace.name}/{pod.name}.")
    assert scene.until_counted(workload) == {"cut": 1}
    scene.watch.until(lambda: bool(workload.events()))
    (event,) = workload.events()
    assert event["reason"] == "WorkerCut"
    assert f"killed {CUT} s after the deletion, not {RAISED} s" in event["message"]
    return str(event["message"])


def test_a_deletion_with_a_shorter_grace_period_cuts_the_drain(scene: Scene) -> None:
    workload = scene.workload("deleted", NEVER_ENDS)
    pod = workload.first_pod()
    workload.kubectl("delete", "pod", pod.name, f"--grace-period={CUT}", "--wait=false")
    message = check_cut(scene, workload, pod, scene.waiting(f"pod/{pod.name}"))
    assert "the pod was deleted with a shorter grace period" in message
    assert pod.exit_code() == 137


def test_an_eviction_with_a_shorter_grace_period_cuts_the_drain_if_the_pod_allows_it(scene: Scene) -> None:
    workload = scene.workload("evicted", NEVER_ENDS, evict="as-asked")
    pod = workload.first_pod()
    evict(pod, CUT)
    message = check_cut(scene, workload, pod, scene.waiting(f"pod/{pod.name}"))
    assert "an eviction shortened the grace period" in message


def test_a_second_deletion_with_a_shorter_grace_period_does_not_cut_the_drain(scene: Scene) -> None:
    """The kubelet keeps the first deadline, although the pod's `deletionTimestamp` is an earlier one by then."""
    finished = scene.workload("finished-all-the-same", [WORKER, f"after={MESSAGE + CUT}"])
    killed = scene.workload("killed-all-the-same", NEVER_ENDS, grace_period=str(SHORT))
    pods = {workload.name: workload.first_pod() for workload in (finished, killed)}
    with scene.drains("twice", "--wait", *(f"pod/{pod.name}" for pod in pods.values())) as wait:
        names = [pod.name for pod in pods.values()]
        delete = ["-n", scene.namespace.name, "delete", "pod", "--wait=false", *names]
        kubectl(*delete)
        wait.until(*(f"{name} drains" for name in names))
        # By then, the kubelet has begun to terminate the pods.
        time.sleep(2)
        kubectl(*delete, f"--grace-period={CUT}")
        assert wait.end() == 1
    assert "2 drains ended: 1 finished, 1 killed." in wait.lines
    assert scene.until_counted(finished) == {"finished": 1}
    assert scene.until_counted(killed) == {"killed": 1}
    scene.watch.until(lambda: bool(killed.events()))
    (event,) = killed.events()
    assert f"was killed {SHORT} s after the deletion, at the end of the grace period" in event["message"]


def evict(pod: WatchedPod, seconds: int) -> None:
    metadata = {"name": pod.name, "namespace": pod.namespace.name}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{pod.namespace.name}/pods/{pod.name}/eviction"
    body = {**eviction, "deleteOptions": {"gracePeriodSeconds": seconds}}
    kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))


def test_draining_a_node_with_a_shorter_grace_period_waits_for_protected_pods(scene: Scene) -> None:
    workload = scene.workload("drained", [WORKER, f"after={MESSAGE}"])
    pod = workload.first_pod()
    node = pod.seen["spec"]["nodeName"]
    drain = [
        "drain",
        node,
        f"--pod-selector=app={workload.name}",
        "--grace-period=1",
        "--delete-emptydir-data",
    ]
    try:
        with subprocess.Popen(["kubectl", *drain], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as draining:
            pod.until("being deleted", lambda: "deletionTimestamp" in pod.seen["metadata"])
            with scene.waiting(f"node/{node}") as wait:
                assert wait.end() == 0
            assert draining.wait(60) == 0
    finally:
        kubectl("uncordon", node)
    assert wait.lines[-1] == "1 drain ended: 1 finished."
    assert scene.until_counted(workload) == {"finished": 1}
    assert workload.outcomes(scene.watch, cause="eviction") == {"finished": 1}


# Out of memory


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("memory", [WORKER, "after=memory"]),
        # Below a parent, which uses little memory itself.
        ("memory-of-a-child", ["python3", WORKER, "after=memory"]),
    ],
)
def test_a_worker_that_runs_out_of_memory_during_its_drain_is_reported_as_such(
    scene: Scene, name: str, command: list[str]
) -> None:
    workload = scene.workload(name, {**NO_MEMORY, "command": command})
    pod = workload.first_pod()
    # The drain is over within a second, so it has to be watched from the start.
    with scene.drains(name, "--watch", f"deployment/{name}", size=TERMINAL) as seen:
        seen.until("No drains.")
        workload.restart()
        seen.until(pod.name, "oom after")
        assert seen.interrupt() == 0
    assert scene.until_counted(workload) == {"oom": 1}
    scene.watch.until(lambda: bool(workload.events()))
    (event,) = workload.events()
    assert event["reason"] == "WorkerOutOfMemory"


# Lost and removed nodes


@contextmanager
def paused_kubelet() -> Iterator[None]:
    """Pause the kubelet, as if the node was lost."""
    os.kill(KUBELET, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(KUBELET, signal.SIGCONT)


@needs_kubelet
def test_a_pod_that_is_deleted_by_force_on_a_lost_node_is_not_reported_as_killed(scene: Scene) -> None:
    workload = scene.workload("forced", NEVER_ENDS)
    pod = workload.first_pod()
    with paused_kubelet():
        pod.delete()
        with scene.waiting(f"pod/{pod.name}") as wait:
            wait.until(f"{pod.name} drains")
            workload.kubectl("delete", "pod", pod.name, "--force", "--grace-period=0")
            assert wait.end() == 2
        assert wait.lines[-1].startswith(f"unseen: {scene.namespace.name}/{pod.name}.")
        assert scene.until_counted(workload) == {"unseen": 1}


@needs_kubelet
def test_the_pods_of_a_removed_node_are_not_reported_as_killed(scene: Scene) -> None:
    """Has to be the last test of this module: it deletes the node and creates it again."""
    workload = scene.workload("orphaned", NEVER_ENDS)
    pod = workload.first_pod()
    name = pod.seen["spec"]["nodeName"]
    node = objects("node", name)
    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        node["metadata"].pop(field, None)
    with paused_kubelet():
        pod.delete()
        with scene.waiting(f"pod/{pod.name}") as wait:
            wait.until(f"{pod.name} drains")
            kubectl("delete", "node", name)
            try:
                # Pods whose node is gone are removed after 40 s and more.
                assert scene.until_counted(workload).keys() == {"unseen"}
                assert wait.end() == 2
                scene.watch.until(lambda: workload.outcomes(scene.watch, cause="node-gone").keys() == {"unseen"})
            finally:
                kubectl("create", "-f", "-", stdin=json.dumps(node))
    kubectl("wait", "--for=condition=Ready", f"node/{name}", "--timeout=120s")
