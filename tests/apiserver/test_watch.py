"""`graceful-worker watch` against a real API server, with the shipped rights: a thousand pods until they are gone."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.control_plane import ControlPlane, control_plane, missing
from tests.apiserver.installation import kubectl, kubectl_missing, write_kubeconfig
from tests.apiserver.watch_process import GRACE, SHOP, Pods, WatchProcess, in_parallel, install, running_watch
from tests.builders import deployment, workload

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(bool(kubectl_missing()), reason=kubectl_missing()),
    pytest.mark.xdist_group("apiserver"),
]

MANY = 1000
BINDING = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/graceful-worker-watch"
EVENTS = f"/api/v1/namespaces/{SHOP}/events"
KILLED: dict[str, Any] = {"seconds": GRACE, "code": 137, "reason": "Error"}
ENDS: tuple[dict[str, Any], ...] = (
    KILLED,
    {"seconds": 600, "code": 137, "reason": "Error"},
    {"seconds": 9, "code": 137, "reason": "OOMKilled"},
    {"seconds": 9, "code": 1, "reason": "Error"},
)
"""How pods 0, 10, 20 and 30 end: killed, cut (it has 600 s), out of memory, with an error. All others finish."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watch")


@pytest.fixture(scope="module")
def plane(directory: Path) -> Iterator[ControlPlane]:
    with control_plane(directory) as plane:
        install(plane, directory)
        yield plane


@pytest.fixture
def pods(plane: ControlPlane) -> Pods:
    return Pods(plane)


@pytest.fixture
def watch(plane: ControlPlane, directory: Path) -> Iterator[WatchProcess]:
    with running_watch(plane, directory) as found:
        yield found


def events(plane: ControlPlane, owner: str) -> list[dict[str, Any]]:
    items = plane.client.get(EVENTS).raise_for_status().json()["items"]
    return [each for each in items if each["involvedObject"]["name"] == owner]


def test_the_drains_of_a_thousand_pods_are_counted_by_outcome(
    plane: ControlPlane, pods: Pods, watch: WatchProcess
) -> None:
    def end_of(number: int) -> dict[str, Any]:
        index = number // 10
        return ENDS[index] if number % 10 == 0 and index < len(ENDS) else {"seconds": 40}

    in_parallel(lambda number: pods.create(f"pod-{number}", f"owner-{number // 10}"), MANY)
    watch.until(lambda: watch.total("graceful_worker_watch_pods") == MANY)
    in_parallel(lambda number: pods.delete(f"pod-{number}", 600 if end_of(number)["seconds"] == 600 else GRACE), MANY)
    watch.until(lambda: watch.total("graceful_worker_drains_running") == MANY)
    in_parallel(lambda number: pods.end(f"pod-{number}", **end_of(number)), MANY)
    watch.until(lambda: sum(watch.outcomes().values()) == MANY)
    assert watch.outcomes() == {"killed": 1, "cut": 1, "oom": 1, "failed": 1, "finished": MANY - 4}
    assert watch.total("graceful_worker_drains_running") == 0
    assert watch.total("graceful_worker_watch_failures_total") == 0
    watch.until(lambda: watch.total("graceful_worker_watch_events_total", result="written") == 3)
    reasons = [each["reason"] for number in range(4) for each in events(plane, f"owner-{number}")]
    assert reasons == ["WorkerKilled", "WorkerCut", "WorkerOutOfMemory"]
    assert events(plane, "owner-50") == []


def test_kubectl_shows_events_where_the_documentation_says(
    plane: ControlPlane, pods: Pods, watch: WatchProcess, directory: Path
) -> None:
    shown = (deployment("shown-deployment"), workload("StatefulSet", "shown-statefulset", serviceName="a"))
    owners = {}
    for body in shown:
        kind = body["kind"].lower()
        url = f"/apis/apps/v1/namespaces/{SHOP}/{kind}s"
        owners[kind] = plane.client.post(url, json=body).raise_for_status().json()
    pods.create("of-deployment", "shown-deployment")
    pods.create_owned("of-statefulset", owners["statefulset"])
    for name in ("of-deployment", "of-statefulset"):
        pods.delete(name)
        pods.end(name, **KILLED)
    watch.until(lambda: watch.total("graceful_worker_watch_events_total", result="written") == 2)
    admin = write_kubeconfig(plane, directory / "admin.kubeconfig")
    for kind in owners:
        assert "WorkerKilled" in kubectl(admin, "-n", SHOP, "events", "--for", f"{kind}/shown-{kind}")
    assert "WorkerKilled" in kubectl(admin, "-n", SHOP, "describe", "statefulset", "shown-statefulset")
    # A pod names the UID of its ReplicaSet, not of its Deployment, and `describe` selects events by the UID.
    assert "WorkerKilled" not in kubectl(admin, "-n", SHOP, "describe", "deployment", "shown-deployment")
    by_source = kubectl(admin, "-n", SHOP, "get", "events", "--field-selector", "source=graceful-worker-watch")
    assert "deployment/shown-deployment" in by_source


def test_a_pod_that_was_created_unprotected_is_reported(plane: ControlPlane, pods: Pods, watch: WatchProcess) -> None:
    pods.create("bare", "forgotten", protected=False)
    watch.until(lambda: watch.total("graceful_worker_unprotected_pods_total") == 1)
    watch.until(lambda: bool(events(plane, "forgotten")))
    (event,) = events(plane, "forgotten")
    assert event["reason"] == "PodUnprotected"
    assert "kubectl -n shop rollout restart deployment/forgotten" in event["message"]
    pods.remove("bare")


def test_the_watch_survives_a_restart_of_the_api_server(plane: ControlPlane, pods: Pods, watch: WatchProcess) -> None:
    pods.create("before")
    pods.delete("before")
    watch.until(lambda: watch.total("graceful_worker_drains_running") == 1)
    plane.restart(3)
    pods.create("after")
    pods.end("before", 50)
    pods.delete("after")
    # It may have listed anew in between, and have missed the end: then the outcome is `unseen`.
    watch.until(lambda: sum(watch.outcomes().values()) == 1)
    assert set(watch.outcomes()) <= {"finished", "unseen"}
    watch.until(lambda: watch.total("graceful_worker_drains_running") == 1)
    pods.end("after", 50)
    watch.until(lambda: sum(watch.outcomes().values()) == 2)
    assert watch.get("/healthz") == 200


def test_a_drain_whose_end_was_missed_is_not_reported_as_killed(
    plane: ControlPlane, pods: Pods, watch: WatchProcess
) -> None:
    """A restarted API server does not have the earlier events, so the watch has to list all pods anew."""
    pods.create("missed")
    pods.delete("missed")
    watch.until(lambda: watch.total("graceful_worker_drains_running") == 1)
    watch.process.send_signal(signal.SIGSTOP)
    try:
        plane.restart(0)
        pods.end("missed", **KILLED)
        plane.restart(0)
    finally:
        watch.process.send_signal(signal.SIGCONT)
    watch.until(lambda: watch.outcomes() == {"unseen": 1})
    assert watch.total("graceful_worker_watch_events_total", result="written") == 0


def test_the_watch_names_a_missing_right_and_waits_for_it(plane: ControlPlane, pods: Pods, directory: Path) -> None:
    binding = plane.client.get(BINDING).raise_for_status().json()
    plane.client.delete(BINDING).raise_for_status()
    del binding["metadata"]["resourceVersion"], binding["metadata"]["uid"]
    restored: list[bool] = []

    def restore() -> bool:
        """Restore the right once the log has named it."""
        log = (directory / "watch.log").read_text() if (directory / "watch.log").exists() else ""
        if "permission missing to list and watch pods in all namespaces" in log and not restored:
            plane.client.post(BINDING.rpartition("/")[0], json=binding).raise_for_status()
            restored.append(True)
        return bool(restored)

    with running_watch(plane, directory, meanwhile=restore) as watch:
        assert restored
        assert watch.get("/healthz") == 200
        pods.create("at-last")
        watch.until(lambda: watch.total("graceful_worker_watch_pods") == 1)
        pods.remove("at-last")


def test_the_watchs_account_has_no_other_rights(plane: ControlPlane, directory: Path) -> None:
    admin = write_kubeconfig(plane, directory / "admin.kubeconfig")
    account = "--as=system:serviceaccount:graceful-worker:graceful-worker-watch"
    rights = kubectl(admin, "auth", "can-i", "--list", account, "--no-headers")
    own = [line for line in rights.splitlines() if line.startswith(("pods", "events"))]
    assert sorted((line.split()[0], line.partition("[]")[2].rpartition("[")[2]) for line in own) == [
        ("events", "create]"),
        ("pods", "list watch]"),
    ]
    assert "secrets" not in rights
