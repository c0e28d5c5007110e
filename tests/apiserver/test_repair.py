"""`graceful-worker repair` against a real API server; the controllers, which do not run here, are simulated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import jsonpatch
import pytest

from tests.apiserver.control_plane import ControlPlane, control_plane, missing
from tests.apiserver.installation import (
    CONFIGURATION,
    JSON_PATCH,
    MERGE,
    NAMESPACE,
    account,
    apply,
    configuration,
    kubectl_missing,
    make_ready,
    write_kubeconfig,
)
from tests.builders import Json, owner_reference, pod, workload
from tests.waiting import wait_until
from webhook import __version__
from webhook.core.annotations import LABEL, LABEL_ENABLED, STATUS_ANNOTATION
from webhook.core.injection import inject
from webhook.core.policy import Policy
from webhook.inspection.requests import PERMISSIONS, REPAIR_PERMISSIONS, RESTART_PERMISSIONS

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(bool(kubectl_missing()), reason=kubectl_missing()),
    pytest.mark.xdist_group("apiserver"),
]

OLDER = "0.0.9"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
RESOURCES = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
TIMEOUT_SECONDS = 60


def pod_of(kind: str, app: str, number: int, state: str, revision: int) -> Json:
    """Build a pod as the owner's controller would: `bare`, `protected`, or `older` (by an older version)."""
    owner, labels = owner_reference(kind, app), {"app": app}
    if kind == "Deployment":
        owner = owner_reference("ReplicaSet", f"{app}-h{revision}")
        labels["pod-template-hash"] = f"h{revision}"
    raw = pod(f"{app}-{revision}-{number}", labels=labels, metadata={"ownerReferences": [owner]})
    if state == "bare":
        return raw
    patched: Json = jsonpatch.apply_patch(raw, inject(raw, Policy()).patch)
    if state == "older":
        record = patched["metadata"]["annotations"][STATUS_ANNOTATION]
        patched["metadata"]["annotations"][STATUS_ANNOTATION] = record.replace(__version__, OLDER)
    return patched


@dataclass
class Shop:
    """A namespace of workloads, and the controllers that replace the pods of those that are restarted."""

    plane: ControlPlane
    namespace: str
    new_pods: dict[str, str] = field(default_factory=dict)
    """The state of an owner's new pods after a restart; the pods of an owner that is not listed are not replaced."""
    _kinds: dict[str, str] = field(default_factory=dict)
    _replaced: set[str] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)

    def create_owner(self, kind: str, app: str, *states: str) -> None:
        """Create an owner with one pod in each of these states."""
        spec: Json = {} if kind == "DaemonSet" else {"replicas": len(states)}
        spec |= {"serviceName": app} if kind == "StatefulSet" else {}
        self.plane.client.post(self._url(kind), json=workload(kind, app, **spec)).raise_for_status()
        self._kinds[app] = kind
        self._replace(app, list(states), 0)

    def owner(self, app: str) -> Json:
        url = f"{self._url(self._kinds[app])}/{app}"
        found: Json = self.plane.client.get(url).raise_for_status().json()
        return found

    def is_restarted(self, app: str) -> bool:
        return RESTARTED_AT in (self.owner(app)["spec"]["template"]["metadata"].get("annotations") or {})

    def _url(self, kind: str) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/{RESOURCES[kind]}"

    def _replace(self, app: str, states: list[str], revision: int) -> None:
        """Replace all pods of an owner, and update its status."""
        pods = f"/api/v1/namespaces/{self.namespace}/pods"
        old = self.plane.client.get(pods, params={"labelSelector": f"app={app}"}).raise_for_status().json()["items"]
        for number, each in enumerate(states):
            self.plane.create_pod(
                self.namespace, pod_of(self._kinds[app], app, number, each, revision)
            ).raise_for_status()
        for each in old:
            url = f"{pods}/{each['metadata']['name']}?gracePeriodSeconds=0"
            self.plane.client.delete(url).raise_for_status()
        count = len(states)
        if self._kinds[app] == "DaemonSet":
            fields = ("currentNumberScheduled", "desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
            counts = {"numberMisscheduled": 0, "numberReady": count, **dict.fromkeys(fields, count)}
        else:
            counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), count)
        status = {"status": {"observedGeneration": self.owner(app)["metadata"]["generation"], **counts}}
        url = f"{self._url(self._kinds[app])}/{app}/status"
        self.plane.client.patch(url, content=json.dumps(status), headers=MERGE).raise_for_status()

    @contextmanager
    def controlled(self) -> Iterator[None]:
        """Simulate the controllers until the block ends."""
        thread = threading.Thread(target=self._control)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _control(self) -> None:
        while not self._over.wait(0.2):
            for app, state in list(self.new_pods.items()):
                if app not in self._replaced and self.is_restarted(app):
                    self._replaced.add(app)
                    self._replace(app, [state, "protected"], 1)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An installation that looks healthy but is never called, because no webhook runs here."""
    directory = tmp_path_factory.mktemp("repair")
    with control_plane(directory) as plane:
        apply(plane, directory)
        make_ready(plane)
        never = [{"name": "never", "expression": "false"}]
        patch = [
            {"op": "add", "path": f"/webhooks/{index}/matchConditions", "value": never}
            for index, _ in enumerate(configuration(plane)["webhooks"])
        ]
        plane.client.patch(CONFIGURATION, content=json.dumps(patch), headers=JSON_PATCH).raise_for_status()
        url = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/graceful-worker"
        replica: Json = plane.client.get(url).raise_for_status().json()["spec"]["template"]
        replica["metadata"] = {"name": "webhook", "labels": replica["metadata"]["labels"]}
        plane.create_pod(NAMESPACE, replica).raise_for_status()
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        url = f"/api/v1/namespaces/{NAMESPACE}/pods/webhook/status"
        plane.client.patch(url, content=json.dumps(ready), headers=MERGE).raise_for_status()
        yield plane


def shop(plane: ControlPlane, namespace: str) -> Shop:
    """Create a labelled namespace with three owners: two with unprotected pods, and one with older injections."""
    plane.create_namespace(namespace, {LABEL: LABEL_ENABLED})
    made = Shop(plane, namespace)
    made.create_owner("Deployment", "emails", "older", "protected")
    made.create_owner("StatefulSet", "mailer", "bare", "bare")
    made.create_owner("Deployment", "orders", "bare", "protected")
    return made


def start(plane: ControlPlane, directory: Path, *arguments: str, token: str = "") -> subprocess.Popen[str]:
    file = directory / "repair.kubeconfig"
    write_kubeconfig(plane, file, token) if token else write_kubeconfig(plane, file)
    command = [sys.executable, "-u", "-m", "webhook", "repair", "--every", "1s", *arguments]
    environment = {**os.environ, "KUBECONFIG": str(file)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(plane: ControlPlane, directory: Path, *arguments: str, token: str = "") -> tuple[int, str]:
    process = start(plane, directory, *arguments, token=token)
    output, errors = process.communicate(timeout=TIMEOUT_SECONDS * 2)
    return process.returncode, output + errors


def test_a_dry_run_lists_the_owners_in_restart_order_and_changes_nothing(plane: ControlPlane, tmp_path: Path) -> None:
    made = shop(plane, "dry")
    made.create_owner("DaemonSet", "agent", "protected")
    before = [made.owner(app) for app in ("emails", "mailer", "orders")]
    code, output = run(plane, tmp_path, "-n", "dry", "-o", "json")
    report = json.loads(output)
    assert (code, report["wait"], report["byHand"]) == (1, None, [])
    assert [(each["kind"], each["name"], each["versions"]) for each in report["restart"]] == [
        ("Deployment", "orders", []),
        ("StatefulSet", "mailer", []),
        ("Deployment", "emails", [OLDER]),
    ]
    assert [made.owner(app) for app in ("emails", "mailer", "orders")] == before
    assert run(plane, tmp_path, "-n", "dry", "ds/agent") == (0, "test: Nothing to repair.\n")


def test_owners_are_restarted_until_all_pods_are_protected(plane: ControlPlane, tmp_path: Path) -> None:
    made = shop(plane, "good")
    made.create_owner("DaemonSet", "agent", "bare")
    made.new_pods = dict.fromkeys(("agent", "emails", "mailer", "orders"), "protected")
    token = account(plane, "repairer", (*PERMISSIONS, *REPAIR_PERMISSIONS, *RESTART_PERMISSIONS))
    with made.controlled():
        code, output = run(plane, tmp_path, "-n", "good", "--yes", token=token)
    assert code == 0, output
    assert output.endswith("4 of 4 owners repaired.\n")
    managers = [each["manager"] for each in made.owner("orders")["metadata"]["managedFields"]]
    assert "graceful-worker-repair" in managers
    assert run(plane, tmp_path, "-n", "good", "--yes") == (0, "test: Nothing to repair.\n")


def test_the_first_new_pod_that_is_unprotected_ends_the_repair(plane: ControlPlane, tmp_path: Path) -> None:
    made = shop(plane, "bad")
    made.new_pods = {"orders": "protected", "mailer": "bare", "emails": "protected"}
    with made.controlled():
        code, output = run(plane, tmp_path, "-n", "bad", "--yes")
    assert code == 1
    assert "STOP     StatefulSet mailer in bad: new pod mailer-1-0 is unprotected" in output
    assert "left     Deployment emails in bad: not started." in output
    assert not made.is_restarted("emails")


def test_only_the_owner_that_is_named_is_restarted(plane: ControlPlane, tmp_path: Path) -> None:
    made = shop(plane, "named")
    made.new_pods = {"emails": "protected"}
    with made.controlled():
        code, output = run(plane, tmp_path, "-n", "named", "deployment/emails", "--yes", "-o", "json")
    assert code == 0, output
    assert not made.is_restarted("orders")


def test_without_the_right_to_restart_the_repair_ends_at_the_first_owner(plane: ControlPlane, tmp_path: Path) -> None:
    made = shop(plane, "unable")
    token = account(plane, "looker", (*PERMISSIONS, *REPAIR_PERMISSIONS))
    code, output = run(plane, tmp_path, "-n", "unable", "--yes", token=token)
    assert code == 1
    assert 'cannot patch resource "deployments" in API group "apps"' in output
    assert not made.is_restarted("mailer")


def test_ctrl_c_ends_the_repair_after_the_current_rollout(plane: ControlPlane, tmp_path: Path) -> None:
    made = shop(plane, "once")
    with made.controlled():
        process = start(plane, tmp_path, "-n", "once", "--yes")
        wait_until(lambda: made.is_restarted("orders"))
        process.send_signal(signal.SIGINT)
        made.new_pods = dict.fromkeys(("emails", "mailer", "orders"), "protected")
        output, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 1, errors
    assert "ok       Deployment orders in once" in output
    assert "1 of 3 owners repaired." in output
    assert not made.is_restarted("mailer")


def test_a_second_ctrl_c_does_not_wait_for_the_rollout(plane: ControlPlane, tmp_path: Path) -> None:
    made = shop(plane, "twice")
    process = start(plane, tmp_path, "-n", "twice", "--yes")
    wait_until(lambda: made.is_restarted("orders"))
    process.send_signal(signal.SIGINT)
    assert process.stdout
    lines = iter(process.stdout.readline, "")
    assert any("Press Ctrl-C again" in line for line in lines)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 1, errors
    assert errors == ""
    assert "STOP     Deployment orders in twice: its restart is in progress; the result was not awaited." in output
    assert "0 of 3 owners repaired." in output


def test_nothing_is_restarted_while_no_replica_is_ready(plane: ControlPlane, tmp_path: Path) -> None:
    made = shop(plane, "down")
    url = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/graceful-worker/status"
    for ready in (0, 2):
        status = {"status": {"replicas": 2, "readyReplicas": ready}}
        plane.client.patch(url, content=json.dumps(status), headers=MERGE).raise_for_status()
        if not ready:
            code, output = run(plane, tmp_path, "-n", "down", "--yes")
    assert code == 1
    assert output.startswith("test: Labelled pods cannot be created, because calls to the webhook fail. 0 of 2 ready")
    assert not made.is_restarted("orders")
