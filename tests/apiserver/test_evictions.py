"""Evictions behind a real API server, by the shipped manifests and the rights that they give."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import builders
from tests.apiserver.control_plane import ControlPlane, control_plane, free_ports, missing
from tests.apiserver.installation import (
    CONFIGURATION,
    JSON_PATCH,
    NAMESPACE,
    apply,
    call_at,
    configuration,
    kubectl_missing,
    service_account_token,
    write_kubeconfig,
)
from tests.builders import Json
from webhook.core.annotations import INJECTED_LABEL, LABEL, LABEL_DISABLED, LABEL_ENABLED, annotation_of

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(bool(kubectl_missing()), reason=kubectl_missing()),
    pytest.mark.xdist_group("apiserver"),
]

SHOP = "shop"
OWN = 3600
CUT = 600
MANY = 500
BINDING = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/graceful-worker-evictions"
PODS = f"/api/v1/namespaces/{SHOP}/pods"
NODE = "node"
"""Without a kubelet: what runs there never ends."""
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
TIMEOUT_SECONDS = 60


@dataclass
class Cluster:
    """An API server, and the webhook that it calls, which is started and ended by the tests."""

    plane: ControlPlane
    directory: Path
    kubeconfig: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    pods: int = 0

    def serve(self) -> None:
        own_ca = ["--namespace", NAMESPACE, "--extra-host", "127.0.0.1", "--propagation", "1"]
        command = ["-m", "webhook", "serve", "--host", "127.0.0.1", "--port", str(self.port), "--drain", "0", *own_ca]
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        with (self.directory / "webhook.log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log, env=environment)
        self.until(self.is_guarded)

    def end(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def until(self, condition: Any) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, (self.directory / "webhook.log").read_text()[-2000:]
            time.sleep(0.2)

    def is_guarded(self) -> bool:
        """Tell whether the webhook answers, by a pod of its own."""
        pod = self.create()
        return self.evict(pod, CUT).is_success and self.time_left(pod) == OWN

    def create_node(self, name: str, ready: str) -> None:
        node = {"metadata": {"name": name}}
        self.plane.client.post("/api/v1/nodes", json=node).raise_for_status()
        status = {"status": {"conditions": [{"type": "Ready", "status": ready}]}}
        self.plane.client.patch(f"/api/v1/nodes/{name}/status", json=status, headers=MERGE_PATCH).raise_for_status()

    def create(self, label: str = LABEL_ENABLED, node: str = NODE, **metadata: Any) -> str:
        """Create a pod on a node that is none, so that it never ends."""
        self.pods += 1
        name = f"pod-{self.pods}"
        labels = {LABEL: label, **metadata.pop("labels", {})}
        pod = builders.pod(name, labels=labels, metadata=metadata, nodeName=node)
        self.until(lambda: self.plane.create_pod(SHOP, pod).status_code in (201, 409))
        return name

    def evict(self, name: str, grace: int | None, version: str = "v1", **options: Any) -> httpx.Response:
        options |= {} if grace is None else {"gracePeriodSeconds": grace}
        fields = {"deleteOptions": options} if options else {}
        eviction = builders.eviction(name, SHOP, version, **fields)
        return self.plane.client.post(f"{PODS}/{name}/eviction", json=eviction, timeout=60)

    def pod(self, name: str) -> Json | None:
        answer = self.plane.client.get(f"{PODS}/{name}")
        found: Json = answer.json()
        return None if answer.status_code == 404 else found

    def time_left(self, name: str) -> int | None:
        """Return the seconds that a terminating pod was given; None where it does not terminate, 0 where it is gone."""
        pod = self.pod(name)
        return pod["metadata"].get("deletionGracePeriodSeconds") if pod else 0


def raise_webhook_timeouts(plane: ControlPlane) -> None:
    """Let the API server wait for the webhook as long as it may: on a busy machine, the shipped time may be over."""
    entries = configuration(plane)["webhooks"]
    patch = [
        {"op": "replace", "path": f"/webhooks/{place}/timeoutSeconds", "value": 30} for place, _ in enumerate(entries)
    ]
    plane.client.patch(CONFIGURATION, content=json.dumps(patch), headers=JSON_PATCH).raise_for_status()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("evictions")
    with control_plane(directory) as plane:
        apply(plane, directory)
        plane.create_namespace(SHOP, {})
        kubeconfig = write_kubeconfig(plane, directory / "webhook.kubeconfig", service_account_token(plane))
        cluster = Cluster(plane, directory, kubeconfig, free_ports(1)[0])
        call_at(plane, f"https://127.0.0.1:{cluster.port}/mutate")
        raise_webhook_timeouts(plane)
        cluster.create_node(NODE, "True")
        try:
            cluster.serve()
            yield cluster
        finally:
            cluster.end()


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize("grace", [None, CUT, 1, 0])
def test_a_protected_pod_keeps_its_own_time_whatever_is_asked_for(
    cluster: Cluster, grace: int | None, version: str
) -> None:
    pod = cluster.create()
    answer = cluster.evict(pod, grace, version)
    assert answer.is_success, answer.text
    assert cluster.time_left(pod) == OWN
    assert ("kubectl delete pod" in answer.headers.get("warning", "")) is (grace is not None)


def test_more_time_than_the_pod_has_is_as_asked(cluster: Cluster) -> None:
    pod = cluster.create()
    assert cluster.evict(pod, 2 * OWN).is_success
    assert cluster.time_left(pod) == 2 * OWN


def test_a_dry_run_deletes_nothing_and_says_the_same(cluster: Cluster) -> None:
    pod = cluster.create()
    answer = cluster.evict(pod, 0, dryRun=["All"])
    assert answer.is_success, answer.text
    assert "kubectl delete pod" in answer.headers["warning"]
    assert cluster.time_left(pod) is None


def test_preconditions_count(cluster: Cluster) -> None:
    pod = cluster.create()
    assert cluster.evict(pod, 0, preconditions={"uid": "another"}).status_code == 409
    assert cluster.time_left(pod) is None


def test_a_disruption_budget_still_stands_in_the_way(cluster: Cluster) -> None:
    pod = cluster.create(labels={"budget": "none"})
    # Budgets count pods that run.
    running = {"status": {"phase": "Running"}}
    cluster.plane.client.patch(f"{PODS}/{pod}/status", json=running, headers=MERGE_PATCH).raise_for_status()
    budget = {
        "metadata": {"name": "none"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"budget": "none"}}},
    }
    budgets = f"/apis/policy/v1/namespaces/{SHOP}/poddisruptionbudgets"
    cluster.plane.client.post(budgets, json=budget).raise_for_status()
    assert cluster.evict(pod, 0).status_code == 429
    assert cluster.time_left(pod) is None


def test_a_pod_that_terminates_already_keeps_its_time(cluster: Cluster) -> None:
    pod = cluster.create()
    cluster.plane.client.delete(f"{PODS}/{pod}").raise_for_status()
    assert cluster.evict(pod, 0).is_success
    assert cluster.time_left(pod) == OWN


def test_a_pod_that_nobody_protects_is_evicted_as_asked(cluster: Cluster) -> None:
    pod = cluster.create(LABEL_DISABLED)
    answer = cluster.evict(pod, 7)
    assert answer.is_success
    assert "warning" not in answer.headers
    assert cluster.time_left(pod) == 7


def test_a_pod_that_lets_evictions_cut_its_time_is_evicted_as_asked(cluster: Cluster) -> None:
    pod = cluster.create(annotations={annotation_of("evict"): "as-asked"})
    found = cluster.pod(pod)
    assert found
    assert found["metadata"]["labels"][INJECTED_LABEL] == "true"
    assert cluster.evict(pod, CUT).is_success
    assert cluster.time_left(pod) == CUT


@pytest.mark.parametrize("node", ["lost", "removed"])
def test_pods_of_a_node_that_nobody_hears_from_go_as_they_are_evicted(cluster: Cluster, node: str) -> None:
    if node == "lost":
        cluster.create_node(node, "Unknown")
    pod = cluster.create(node=node)
    assert cluster.evict(pod, 1).is_success
    assert cluster.time_left(pod) == 1


def test_a_pod_that_is_gone_is_not_found(cluster: Cluster) -> None:
    assert cluster.evict("nobody", 0).status_code == 404


def test_hundreds_of_evictions_at_once_are_all_healed(cluster: Cluster) -> None:
    pods = [cluster.create() for _ in range(MANY)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda pod: cluster.evict(pod, 0).status_code, pods))
    assert Counter(answers) == {201: MANY}
    assert Counter(cluster.time_left(pod) for pod in pods) == {OWN: MANY}


def test_without_the_right_to_get_pods_evictions_are_as_asked(cluster: Cluster) -> None:
    pod = cluster.create()
    binding = cluster.plane.client.get(BINDING).raise_for_status().json()
    cluster.plane.client.delete(BINDING).raise_for_status()
    try:
        # Authorizers learn of it a moment later.
        cluster.until(lambda: cluster.evict(pod, 0, dryRun=["All"]).headers.get("warning") is None)
        assert cluster.evict(pod, CUT).is_success
        assert cluster.time_left(pod) == CUT
    finally:
        del binding["metadata"]["resourceVersion"], binding["metadata"]["uid"]
        cluster.plane.client.post(BINDING.rpartition("/")[0], json=binding).raise_for_status()


def test_while_the_webhook_is_down_evictions_are_as_asked(cluster: Cluster) -> None:
    pod = cluster.create()
    cluster.end()
    try:
        assert cluster.evict(pod, CUT).is_success
        assert cluster.time_left(pod) == CUT
    finally:
        cluster.serve()
