"""What the API server does while no replica responds, and how the validating policy treats unprotected pods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.apiserver.control_plane import ControlPlane, control_plane, free_ports, missing
from tests.apiserver.installation import CONFIGURATION, apply, call_at, kubectl_missing
from tests.builders import pod
from tests.waiting import wait_until
from webhook.core.annotations import INJECTED_LABEL, LABEL, LABEL_DISABLED, LABEL_ENABLED
from webhook.core.select.pods import CRITICAL_CLASSES

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(bool(kubectl_missing()), reason=kubectl_missing()),
    pytest.mark.xdist_group("apiserver"),
]

UNPROTECTED = "but not protected"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outage")


@pytest.fixture(scope="module")
def plane(directory: Path) -> Iterator[ControlPlane]:
    with control_plane(directory) as plane:
        plane.create_namespace("workers", {LABEL: LABEL_ENABLED})
        plane.create_namespace("plain", {})
        yield plane


def create(plane: ControlPlane, namespace: str, label: str = "", **spec: Any) -> httpx.Response:
    labels = {LABEL: label} if label else {}
    return plane.create_pod(namespace, pod(labels=labels, **spec), dry_run=True)


def install(plane: ControlPlane, directory: Path, folder: str) -> None:
    """Install anew: kubectl cannot apply over what another test has changed in the configuration."""
    plane.client.delete(CONFIGURATION)
    apply(plane, directory, folder)


def install_without_replicas(plane: ControlPlane, directory: Path, folder: str) -> None:
    install(plane, directory, folder)
    call_at(plane, f"https://127.0.0.1:{free_ports(1)[0]}/mutate")


def test_by_default_a_labelled_pod_is_refused_and_the_error_names_the_webhook(
    plane: ControlPlane, directory: Path
) -> None:
    install_without_replicas(plane, directory, ".")
    wait_until(lambda: not create(plane, "workers").is_success)
    for namespace, label, entry in (("workers", "", "namespace.label"), ("plain", LABEL_ENABLED, "pod.label")):
        response = create(plane, namespace, label)
        assert response.status_code == 500
        assert f'failed calling webhook "{entry}.graceful-worker"' in response.json()["message"]


@pytest.mark.parametrize(
    ("namespace", "label"), [("plain", ""), ("workers", LABEL_DISABLED), ("kube-system", LABEL_ENABLED)]
)
def test_by_default_all_other_pods_are_created(
    plane: ControlPlane, directory: Path, namespace: str, label: str
) -> None:
    install_without_replicas(plane, directory, ".")
    wait_until(lambda: not create(plane, "workers").is_success)
    assert create(plane, namespace, label).is_success


@pytest.mark.parametrize("label", ["", LABEL_ENABLED])
@pytest.mark.parametrize("priority_class", sorted(CRITICAL_CLASSES))
@pytest.mark.parametrize("namespace", ["workers", "plain"])
def test_by_default_pods_of_a_critical_priority_class_are_created_whatever_their_label(
    plane: ControlPlane, directory: Path, namespace: str, priority_class: str, label: str
) -> None:
    """For example the pods of a network plugin: without them, no replica could start."""
    install_without_replicas(plane, directory, ".")
    wait_until(lambda: not create(plane, "workers").is_success)
    response = create(plane, namespace, label, priorityClassName=priority_class, hostNetwork=True)
    assert response.is_success, response.text


def test_replicas_of_the_webhook_can_always_be_created(plane: ControlPlane, directory: Path) -> None:
    install_without_replicas(plane, directory, ".")
    wait_until(lambda: not create(plane, "workers").is_success)
    path = "/apis/apps/v1/namespaces/graceful-worker/deployments/graceful-worker"
    template = plane.client.get(path).raise_for_status().json()["spec"]["template"]
    replica = pod(metadata=template["metadata"], **template["spec"])
    response = plane.create_pod("graceful-worker", replica, dry_run=True)
    assert response.is_success, response.text


def test_with_fail_open_a_labelled_pod_is_created_unchanged(plane: ControlPlane, directory: Path) -> None:
    install_without_replicas(plane, directory, "overlays/fail-open")
    wait_until(lambda: create(plane, "workers").is_success)
    assert INJECTED_LABEL not in create(plane, "plain", LABEL_ENABLED).json()["metadata"]["labels"]


@pytest.mark.parametrize(("overlay", "status"), [("validating-policy", 201), ("validating-policy-deny", 422)])
def test_the_policy_warns_about_or_denies_a_labelled_pod_that_is_not_protected(
    plane: ControlPlane, directory: Path, overlay: str, status: int
) -> None:
    install(plane, directory, f"overlays/{overlay}")
    plane.client.delete(CONFIGURATION).raise_for_status()

    def warning_and_body() -> str:
        response = create(plane, "plain", LABEL_ENABLED)
        return str(response.headers.get("warning", "")) + response.text

    wait_until(
        lambda: UNPROTECTED in warning_and_body() and create(plane, "plain", LABEL_ENABLED).status_code == status
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"annotations": {"graceful-worker/status": json.dumps({})}},
        {"os": {"name": "windows"}},
        {"priorityClassName": "system-node-critical"},
    ],
    ids=["protected", "windows", "critical"],
)
def test_the_policy_admits_a_pod_that_is_protected_or_never_protected_by_the_webhook(
    plane: ControlPlane, directory: Path, fields: dict[str, Any]
) -> None:
    install(plane, directory, "overlays/validating-policy-deny")
    plane.client.delete(CONFIGURATION).raise_for_status()
    wait_until(lambda: UNPROTECTED in create(plane, "plain", LABEL_ENABLED).text)
    response = plane.create_pod("plain", pod(labels={LABEL: LABEL_ENABLED}, **fields), dry_run=True)
    assert response.is_success, response.text
