"""The eviction policy in a real API server, with no webhook running: pods in labelled namespaces keep their period."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Any

import httpx
import pytest

from tests.apiserver.control_plane import ControlPlane, control_plane, free_ports, missing
from tests.apiserver.installation import apply, call_at, kubectl_missing
from tests.builders import Json, eviction, pod
from tests.waiting import wait_until
from webhook.core.annotations import LABEL, LABEL_DISABLED, LABEL_ENABLED

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(bool(kubectl_missing()), reason=kubectl_missing()),
    pytest.mark.xdist_group("apiserver"),
]

OWN_GRACE = 3600
POLICIES = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies"
FAILED_OPEN = "apiserver_admission_webhook_fail_open_count"
NUMBERS = count()
every_period = pytest.mark.parametrize("seconds", [0, 1, 600, 7200])


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server with the overlay installed and the policy in effect; no replica runs."""
    directory = tmp_path_factory.mktemp("evictions")
    with control_plane(directory) as plane:
        if plane.client.get(POLICIES).status_code == 404:
            pytest.skip("this API server has no MutatingAdmissionPolicy in v1: it is older than 1.36")
        plane.create_namespace("workers", {LABEL: LABEL_ENABLED})
        plane.create_namespace("plain", {})
        system = {"metadata": {"labels": {LABEL: LABEL_ENABLED}}}
        merge = {"Content-Type": "application/merge-patch+json"}
        plane.client.patch("/api/v1/namespaces/kube-system", json=system, headers=merge).raise_for_status()
        apply(plane, directory, "overlays/eviction-policy")
        call_at(plane, f"https://127.0.0.1:{free_ports(1)[0]}/mutate")
        cut = {"gracePeriodSeconds": 600}
        wait_until(lambda: evicted(plane, "workers", cut)["deletionGracePeriodSeconds"] == OWN_GRACE)
        yield plane


def create(plane: ControlPlane, namespace: str) -> str:
    """Create a pod on a node without a kubelet, so that it stays while it terminates.

    The pod is opted out, so no webhook is called for it; the policy does not look at the labels of pods.
    """
    name = f"worker-{next(NUMBERS)}"
    opted_out = {LABEL: LABEL_DISABLED}
    made = pod(name, labels=opted_out, nodeName="a-node", terminationGracePeriodSeconds=OWN_GRACE)
    plane.create_pod(namespace, made).raise_for_status()
    return name


def evict(plane: ControlPlane, namespace: str, name: str, body: Json) -> httpx.Response:
    url = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    return plane.client.post(url, json={**eviction(name, namespace), **body})


def evicted(plane: ControlPlane, namespace: str, options: Json | None = None, **body: Any) -> Json:
    """Evict a pod; return its metadata after that, empty if the pod is gone."""
    name = create(plane, namespace)
    if options is not None:
        body["deleteOptions"] = options
    response = evict(plane, namespace, name, body)
    assert response.is_success, response.text
    response = plane.client.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
    return dict(response.json()["metadata"]) if response.is_success else {}


def failed_open(plane: ControlPlane) -> float:
    """Return how many evictions failed open because no webhook responded, by the API server's own metric."""
    lines = plane.client.get("/metrics").raise_for_status().text.splitlines()
    ours = (line for line in lines if line.startswith(FAILED_OPEN) and 'name="pod.eviction.graceful-worker"' in line)
    return sum(float(line.rpartition(" ")[2]) for line in ours)


@every_period
@pytest.mark.parametrize("version", ["policy/v1", "policy/v1beta1"])
def test_in_a_labelled_namespace_a_pod_keeps_its_own_period_whatever_the_eviction_requests(
    plane: ControlPlane, version: str, seconds: int
) -> None:
    metadata = evicted(plane, "workers", {"gracePeriodSeconds": seconds}, apiVersion=version)
    assert metadata["deletionGracePeriodSeconds"] == OWN_GRACE
    end = datetime.fromisoformat(metadata["deletionTimestamp"])
    assert OWN_GRACE - 60 < end.timestamp() - time.time() <= OWN_GRACE


@every_period
@pytest.mark.parametrize("namespace", ["plain", "kube-system"])
def test_in_all_other_namespaces_a_pod_gets_the_requested_period(
    plane: ControlPlane, namespace: str, seconds: int
) -> None:
    assert evicted(plane, namespace, {"gracePeriodSeconds": seconds}).get("deletionGracePeriodSeconds", 0) == seconds


@pytest.mark.parametrize("namespace", ["workers", "plain"])
@pytest.mark.parametrize("options", [None, {}, {"gracePeriodSeconds": None}])
def test_an_eviction_that_requests_no_period_is_not_changed(
    plane: ControlPlane, namespace: str, options: Json | None
) -> None:
    assert evicted(plane, namespace, options)["deletionGracePeriodSeconds"] == OWN_GRACE


@pytest.mark.parametrize("seconds", [0, 600])
@pytest.mark.parametrize("namespace", ["workers", "plain"])
def test_a_dry_run_evicts_nothing(plane: ControlPlane, namespace: str, seconds: int) -> None:
    metadata = evicted(plane, namespace, {"gracePeriodSeconds": seconds, "dryRun": ["All"]})
    assert metadata["name"]
    assert "deletionTimestamp" not in metadata


def test_a_precondition_still_applies(plane: ControlPlane) -> None:
    options = {"gracePeriodSeconds": 0, "preconditions": {"uid": "another"}}
    name = create(plane, "workers")
    assert evict(plane, "workers", name, {"deleteOptions": options}).status_code == 409
    kept = plane.client.get(f"/api/v1/namespaces/workers/pods/{name}").raise_for_status().json()
    assert "deletionTimestamp" not in kept["metadata"]


def test_the_policy_does_not_apply_to_deletions(plane: ControlPlane) -> None:
    """So deleting the pod remains the way to end it sooner."""
    name = create(plane, "workers")
    url = f"/api/v1/namespaces/workers/pods/{name}"
    plane.client.delete(url, params={"gracePeriodSeconds": 0}).raise_for_status()
    assert plane.client.get(url).status_code == 404


def test_no_webhook_is_called_for_an_eviction_that_the_policy_has_changed(plane: ControlPlane) -> None:
    wait_until(lambda: bool(evicted(plane, "plain", {"gracePeriodSeconds": 600})) and failed_open(plane) > 0)
    before = failed_open(plane)
    evicted(plane, "workers", {"gracePeriodSeconds": 600})
    assert failed_open(plane) == before
    evicted(plane, "plain", {"gracePeriodSeconds": 600})
    assert failed_open(plane) == before + 1
