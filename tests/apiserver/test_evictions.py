"""Evictions in a real API server, with the shipped manifests and the rights that they grant."""

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
OWN_GRACE = 3600
CUT_GRACE = 600
MANY = 500
BINDING = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/graceful-worker-evictions"
PODS = f"/api/v1/namespaces/{SHOP}/pods"
NODE = "node"
"""A node without a kubelet: pods never end there."""
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
TIMEOUT_SECONDS = 60


@dataclass
class Cluster:
    """An API server, and the webhook that it calls, which the tests start and stop."""

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
        """Return whether the webhook handles evictions, by evicting a new pod."""
        pod = self.create()
        return self.evict(pod, CUT_GRACE).is_success and self.grace_period(pod) == OWN_GRACE

    def create_node(self, name: str, ready: str) -> None:
        node = {"metadata": {"name": name}}
        self.plane.client.post("/api/v1/nodes", json=node).raise_for_status()
        status = {"status": {"conditions": [{"type": "Ready", "status": ready}]}}
        self.plane.client.patch(f"/api/v1/nodes/{name}/status", json=status, headers=MERGE_PATCH).raise_for_status()

    def create(self, label: str = LABEL_ENABLED, node: str = NODE, **metadata: Any) -> str:
        """Create a pod on a node without a kubelet, so that it never ends."""
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
        response = self.plane.client.get(f"{PODS}/{name}")
        found: Json = response.json()
        return None if response.status_code == 404 else found

    def grace_period(self, name: str) -> int | None:
        """Return the grace period of a terminating pod; None if it does not terminate, 0 if it is gone."""
        pod = self.pod(name)
        return pod["metadata"].get("deletionGracePeriodSeconds") if pod else 0


def raise_webhook_timeouts(plane: ControlPlane) -> None:
    """Let the API server wait for the webhook as long as it can: on a busy machine, the shipped timeout may expire."""
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
@pytest.mark.parametrize("grace", [None, CUT_GRACE, 1, 0])
def test_a_protected_pod_keeps_its_own_period_whatever_the_eviction_requests(
    cluster: Cluster, grace: int | None, version: str
) -> None:
    pod = cluster.create()
    response = cluster.evict(pod, grace, version)
    assert response.is_success, response.text
    assert cluster.grace_period(pod) == OWN_GRACE
    assert ("kubectl delete pod" in response.headers.get("warning", "")) is (grace is not None)


def test_an_eviction_that_requests_a_longer_period_gets_it(cluster: Cluster) -> None:
    pod = cluster.create()
    assert cluster.evict(pod, 2 * OWN_GRACE).is_success
    assert cluster.grace_period(pod) == 2 * OWN_GRACE


def test_a_dry_run_deletes_nothing_and_returns_the_same_warning(cluster: Cluster) -> None:
    pod = cluster.create()
    response = cluster.evict(pod, 0, dryRun=["All"])
    assert response.is_success, response.text
    assert "kubectl delete pod" in response.headers["warning"]
    assert cluster.grace_period(pod) is None


def test_preconditions_still_apply(cluster: Cluster) -> None:
    pod = cluster.create()
    assert cluster.evict(pod, 0, preconditions={"uid": "another"}).status_code == 409
    assert cluster.grace_period(pod) is None


def test_a_disruption_budget_still_prevents_an_eviction(cluster: Cluster) -> None:
    pod = cluster.create(labels={"budget": "none"})
    # A budget counts running pods only.
    running = {"status": {"phase": "Running"}}
    cluster.plane.client.patch(f"{PODS}/{pod}/status", json=running, headers=MERGE_PATCH).raise_for_status()
    budget = {
        "metadata": {"name": "none"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"budget": "none"}}},
    }
    budgets = f"/apis/policy/v1/namespaces/{SHOP}/poddisruptionbudgets"
    cluster.plane.client.post(budgets, json=budget).raise_for_status()
    assert cluster.evict(pod, 0).status_code == 429
    assert cluster.grace_period(pod) is None


def test_a_pod_that_is_already_terminating_keeps_its_period(cluster: Cluster) -> None:
    pod = cluster.create()
    cluster.plane.client.delete(f"{PODS}/{pod}").raise_for_status()
    assert cluster.evict(pod, 0).is_success
    assert cluster.grace_period(pod) == OWN_GRACE


def test_an_unprotected_pod_is_evicted_as_requested(cluster: Cluster) -> None:
    pod = cluster.create(LABEL_DISABLED)
    response = cluster.evict(pod, 7)
    assert response.is_success
    assert "warning" not in response.headers
    assert cluster.grace_period(pod) == 7


def test_a_pod_whose_annotation_allows_shorter_evictions_is_evicted_as_requested(cluster: Cluster) -> None:
    pod = cluster.create(annotations={annotation_of("evict"): "as-asked"})
    found = cluster.pod(pod)
    assert found
    assert found["metadata"]["labels"][INJECTED_LABEL] == "true"
    assert cluster.evict(pod, CUT_GRACE).is_success
    assert cluster.grace_period(pod) == CUT_GRACE


@pytest.mark.parametrize("node", ["lost", "removed"])
def test_a_pod_on_a_lost_or_removed_node_is_evicted_as_requested(cluster: Cluster, node: str) -> None:
    if node == "lost":
        cluster.create_node(node, "Unknown")
    pod = cluster.create(node=node)
    assert cluster.evict(pod, 1).is_success
    assert cluster.grace_period(pod) == 1


def test_an_eviction_of_a_pod_that_does_not_exist_gets_404(cluster: Cluster) -> None:
    assert cluster.evict("nobody", 0).status_code == 404


def test_hundreds_of_concurrent_evictions_all_leave_the_pods_their_own_period(cluster: Cluster) -> None:
    pods = [cluster.create() for _ in range(MANY)]
    with ThreadPoolExecutor(50) as pool:
        codes = list(pool.map(lambda pod: cluster.evict(pod, 0).status_code, pods))
    assert Counter(codes) == {201: MANY}
    assert Counter(cluster.grace_period(pod) for pod in pods) == {OWN_GRACE: MANY}


def test_without_the_right_to_get_pods_evictions_are_as_requested(cluster: Cluster) -> None:
    pod = cluster.create()
    binding = cluster.plane.client.get(BINDING).raise_for_status().json()
    cluster.plane.client.delete(BINDING).raise_for_status()
    try:
        # The authorizer sees the deletion a moment later.
        cluster.until(lambda: cluster.evict(pod, 0, dryRun=["All"]).headers.get("warning") is None)
        assert cluster.evict(pod, CUT_GRACE).is_success
        assert cluster.grace_period(pod) == CUT_GRACE
    finally:
        del binding["metadata"]["resourceVersion"], binding["metadata"]["uid"]
        cluster.plane.client.post(BINDING.rpartition("/")[0], json=binding).raise_for_status()


def test_while_the_webhook_is_down_evictions_are_as_requested(cluster: Cluster) -> None:
    pod = cluster.create()
    cluster.end()
    try:
        assert cluster.evict(pod, CUT_GRACE).is_success
        assert cluster.grace_period(pod) == CUT_GRACE
    finally:
        cluster.serve()
