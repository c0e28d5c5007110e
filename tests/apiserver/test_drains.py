"""`graceful-worker drains` against a real API server: pods from creation to removal, and restarts of the server."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.control_plane import TOKEN, ControlPlane, control_plane, missing
from tests.apiserver.installation import account, write_kubeconfig
from tests.builders import deployment
from tests.drains import pods as stored
from tests.drains.process import DrainsProcess
from webhook.cli.drains import PERMISSIONS, ROLLOUT_PERMISSIONS

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.xdist_group("apiserver"),
]

MERGE = {"Content-Type": "application/merge-patch+json"}
KILLED, ERROR = 137, 1
LIVES: dict[str, tuple[int, dict[str, Any], int]] = {
    "finished": (150, {"exitCode": 0}, 42),
    "killed": (20, {"exitCode": KILLED}, 60),
    "failed": (15, {"exitCode": ERROR}, 9),
    "oom": (15, {"exitCode": KILLED, "reason": "OOMKilled"}, 9),
}
"""Of each outcome: how many pods have it, the final state of their worker, and after how many of the 60 seconds."""


class Cluster:
    """A control plane, and what controllers and kubelets would do in it: none of them runs here."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane

    def create(self, *names: str, owner: str = "Deployment emails", revision: str = "1") -> None:
        """Create protected pods on a node that does not exist: they stay until the test sets their final status."""
        with ThreadPoolExecutor(8) as workers:
            list(workers.map(lambda name: self._create(name, owner, revision), names))

    def _create(self, name: str, owner: str, revision: str) -> None:
        pod = stored.pod(name, owner=owner, revision=revision, grace=60)
        for field in ("uid", "namespace"):
            del pod["metadata"][field]
        pod["spec"]["containers"][0]["image"] = "shop:1"
        self.plane.create_pod("shop", pod).raise_for_status()

    def delete(self, *names: str) -> None:
        with ThreadPoolExecutor(8) as workers:
            list(workers.map(lambda name: self.plane.client.delete(_path(name)).raise_for_status(), names))

    def end(self, name: str, terminated: dict[str, Any], seconds: int) -> None:
        """Write the worker's final state to the pod's status as a kubelet does, and then remove the pod."""
        pod = self.plane.client.get(_path(name)).raise_for_status().json()
        deadline = datetime.datetime.fromisoformat(pod["metadata"]["deletionTimestamp"])
        begun = deadline - datetime.timedelta(seconds=pod["metadata"]["deletionGracePeriodSeconds"])
        at = (begun + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        state = {"terminated": {**terminated, "finishedAt": at}}
        status = {"name": "worker", "image": "shop:1", "imageID": "", "ready": False, "restartCount": 0, "state": state}
        body = json.dumps({"status": {"containerStatuses": [status]}})
        self.plane.client.patch(f"{_path(name)}/status", content=body, headers=MERGE).raise_for_status()
        self.remove(name)

    def remove(self, *names: str) -> None:
        for name in names:
            parameters = {"gracePeriodSeconds": "0"}
            self.plane.client.delete(_path(name), params=parameters).raise_for_status()

    def end_all(self, names: list[str], terminated: dict[str, Any], seconds: int) -> None:
        with ThreadPoolExecutor(8) as workers:
            list(workers.map(lambda name: self.end(name, terminated, seconds), names))


def _path(name: str) -> str:
    return f"/api/v1/namespaces/shop/pods/{name}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with control_plane(tmp_path_factory.mktemp("drains")) as plane:
        plane.create_namespace("shop", {})
        yield Cluster(plane)


def process(cluster: Cluster, directory: Path, *arguments: str, token: str = TOKEN) -> DrainsProcess:
    write_kubeconfig(cluster.plane, directory / "kubeconfig", token)
    return DrainsProcess(directory, "", *arguments)


def test_a_watch_reports_the_start_and_the_end_of_two_hundred_drains(cluster: Cluster, tmp_path: Path) -> None:
    names = {outcome: [f"{outcome}-{number}" for number in range(count)] for outcome, (count, *_) in LIVES.items()}
    all_names = [name for group in names.values() for name in group]
    cluster.create(*all_names)
    token = account(cluster.plane, "drains", PERMISSIONS)
    with process(cluster, tmp_path, "--watch", "-o", "json", "-n", "shop", token=token) as watch:
        cluster.delete("finished-0")
        watch.until('"finished-0"')
        cluster.delete(*all_names[1:])
        for outcome, (_, terminated, seconds) in LIVES.items():
            cluster.end_all(names[outcome], terminated, seconds)
        watch.until_count('"ended"', len(all_names))
        assert watch.interrupt() == 0
    reported = [json.loads(line) for line in watch.lines]
    assert Counter(each["pod"] for each in reported if each["event"] == "begun") == Counter(all_names)
    ended = {each["pod"]: (each["outcome"], each["seconds"]) for each in reported if each["event"] == "ended"}
    assert ended == {name: (outcome, LIVES[outcome][2]) for outcome, group in names.items() for name in group}


def test_the_time_left_is_measured_by_the_api_servers_clock(cluster: Cluster, tmp_path: Path) -> None:
    cluster.create("left", owner="StatefulSet left")
    cluster.delete("left")
    with process(cluster, tmp_path, "-o", "json", "sts/left") as look:
        assert look.end() == 0, look.errors
    (drain,) = json.loads(look.text)["drains"]
    assert (drain["cause"], drain["periodSeconds"], drain["overdue"]) == ("deletion", 60, False)
    assert drain["leftSeconds"] + drain["drainingSeconds"] == 60
    cluster.remove("left")


def test_a_watch_survives_a_restart_of_the_api_server_and_reports_which_end_it_missed(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.create("seen", "gap", "later")
    cluster.delete("seen", "gap")
    with process(cluster, tmp_path, "--watch", "-n", "shop") as watch:
        watch.until("shop/seen drains", "shop/gap drains")
        # While the process is paused, its resourceVersion becomes too old for the new API server's watch cache.
        watch.pause()
        cluster.plane.restart(0)
        cluster.remove("gap")
        watch.resume()
        watch.until("shop/gap is gone: the end of its worker was not observed")
        cluster.plane.restart(0)
        cluster.delete("later")
        watch.until("shop/later drains")
        for name in ("seen", "later"):
            cluster.end(name, {"exitCode": 0}, 1)
        watch.until("shop/seen finished after 1 s of 60 s", "shop/later finished after 1 s of 60 s")
        assert watch.interrupt() == 0
    assert len(watch.lines) == 6


def test_a_wait_for_a_rollout_ends_when_its_drains_have_ended(cluster: Cluster, tmp_path: Path) -> None:
    deployments = "/apis/apps/v1/namespaces/shop/deployments"
    cluster.plane.client.post(deployments, json=deployment("emails", replicas=1)).raise_for_status()
    cluster.create("old-a", "old-b")
    cluster.create("new", revision="2")
    token = account(cluster.plane, "wait", (*PERMISSIONS, ROLLOUT_PERMISSIONS[0]))
    with process(cluster, tmp_path, "--wait", "deployment/emails", "-n", "shop", token=token) as wait:
        cluster.delete("old-a")
        wait.until("shop/old-a drains: deployment/emails, celery (signal), rollout")
        cluster.end("old-a", {"exitCode": 0}, 1)
        wait.until("shop/old-a finished after 1 s")
        cluster.delete("old-b")
        status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
        status["readyReplicas"] = 1
        content = json.dumps({"status": status})
        url = f"{deployments}/emails/status"
        cluster.plane.client.patch(url, content=content, headers=MERGE).raise_for_status()
        wait.until("shop/old-b drains")
        cluster.end("old-b", {"exitCode": KILLED}, 60)
        assert wait.end() == 1
    assert wait.lines[-2:] == [
        "2 drains ended: 1 finished, 1 killed.",
        "killed: shop/old-b. The worker was killed at the end of its grace period.",
    ]


@pytest.mark.parametrize(("rights", "missing_right"), [((), "list"), (("list pods",), "watch")])
def test_a_missing_right_is_named(
    rights: tuple[str, ...], missing_right: str, cluster: Cluster, tmp_path: Path
) -> None:
    token = account(cluster.plane, f"without-{missing_right}", rights)
    with process(cluster, tmp_path, "--watch", token=token) as watch:
        assert watch.end() == 2
    assert watch.errors.startswith("permission missing to list and watch pods in all namespaces")
