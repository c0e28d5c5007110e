"""`graceful-worker status` against a real API server: its selectors, pages, rights and metadata-only lists."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonpatch
import pytest

from tests.apiserver.control_plane import ControlPlane, control_plane, missing
from tests.apiserver.installation import account, apply, kubectl_missing, make_ready, write_kubeconfig
from tests.builders import container, deployment, pod, pod_template
from webhook.core.annotations import LABEL, LABEL_ENABLED
from webhook.core.injection import inject
from webhook.core.policy import Policy
from webhook.inspection.requests import DRAIN_LIMIT_PERMISSIONS, KUBELET_PERMISSIONS, PERMISSIONS

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(bool(kubectl_missing()), reason=kubectl_missing()),
    pytest.mark.xdist_group("apiserver"),
]

PROTECTED = ("emails-0", "emails-1", "emails-2")
SPOT = "spot-a"
AUTOSCALER = ["./cluster-autoscaler", "--max-graceful-termination-sec=1200"]
LIMITING: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/api/v1/nodes", {"metadata": {"name": SPOT, "labels": {"cloud.google.com/gke-spot": "true"}}}),
    ("/api/v1/nodes", {"metadata": {"name": "other"}}),
    (
        "/apis/apps/v1/namespaces/kube-system/deployments",
        deployment(
            "cluster-autoscaler",
            pod_template(
                container("cluster-autoscaler", AUTOSCALER, image="cluster-autoscaler:1"),
                labels={"app": "cluster-autoscaler"},
            ),
        ),
    ),
    (
        "/api/v1/namespaces/kube-system/configmaps",
        {
            "metadata": {"name": "descheduler", "labels": {"app.kubernetes.io/name": "descheduler"}},
            "data": {"policy.yaml": "kind: DeschedulerPolicy\ngracePeriodSeconds: 300\n"},
        },
    ),
)
"""Objects that limit drains. Karpenter is not installed: the API server does not know its kinds."""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Create the pods first: once the webhook is installed, no labelled pod can be created, as no server runs here."""
    directory = tmp_path_factory.mktemp("status")
    with control_plane(directory) as plane:
        plane.create_namespace("workers", {LABEL: LABEL_ENABLED})
        plane.create_namespace("shop", {})
        for url, raw in LIMITING:
            plane.client.post(url, json=raw).raise_for_status()
        for name in PROTECTED:
            raw = pod(name, nodeName=SPOT)
            plane.create_pod("workers", jsonpatch.apply_patch(raw, inject(raw, Policy()).patch)).raise_for_status()
        plane.create_pod("workers", pod("late")).raise_for_status()
        plane.create_pod("workers", pod("aside", labels={LABEL: "disabled"})).raise_for_status()
        plane.create_pod("shop", pod("labelled", labels={LABEL: LABEL_ENABLED})).raise_for_status()
        plane.create_pod("shop", pod("typo", labels={LABEL: "yes"})).raise_for_status()
        plane.create_pod("shop", pod("other")).raise_for_status()
        yield plane


def status(plane: ControlPlane, directory: Path, *arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
    file = directory / "status.kubeconfig"
    write_kubeconfig(plane, file, token) if token else write_kubeconfig(plane, file)
    environment = {**os.environ, "KUBECONFIG": str(file)}
    command = [sys.executable, "-m", "webhook", "status", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_status_of_a_cluster_from_no_installation_to_full_protection(plane: ControlPlane, tmp_path: Path) -> None:
    bare = status(plane, tmp_path)
    assert bare.returncode == 1
    assert "MutatingWebhookConfiguration graceful-worker does not exist" in bare.stdout

    apply(plane, tmp_path)
    down = status(plane, tmp_path)
    assert down.returncode == 1
    assert down.stdout.startswith("test: Labelled pods cannot be created")
    for part in ("caBundle is empty (all entries)", "0 of 2 ready", "has no ready endpoints"):
        assert part in down.stdout

    make_ready(plane)
    flawed = status(plane, tmp_path, "--pods", "-o", "json")
    assert flawed.returncode == 1
    report = json.loads(flawed.stdout)
    assert report["verdict"] == "flawed"
    assert {f"{each['namespace']}/{each['name']}": (each["state"], each["reason"]) for each in report["pods"]} == {
        **{f"workers/{name}": ("protected", "") for name in PROTECTED},
        "workers/late": ("unprotected", ""),
        "shop/labelled": ("unprotected", ""),
        "shop/typo": ("mislabelled", "label-invalid"),
    }
    _in_pages(plane, tmp_path)
    _by_rights(plane, tmp_path)
    _drains(plane, tmp_path)

    for namespace, name in (("workers", "late"), ("shop", "labelled"), ("shop", "typo")):
        url = f"/api/v1/namespaces/{namespace}/pods/{name}?gracePeriodSeconds=0"
        plane.client.delete(url).raise_for_status()
    healthy = status(plane, tmp_path, "--pods")
    assert healthy.returncode == 0, healthy.stdout
    assert healthy.stdout.startswith("test: Protection works.\n")
    assert "worker=signal" in healthy.stdout


def _in_pages(plane: ControlPlane, directory: Path) -> None:
    """Check that lists in pages of one object give the same output."""
    small_pages = "from webhook.kubernetes import api_client; api_client.PAGE_SIZE = 1"
    code = f"{small_pages}; from webhook.cli.commands import main; main()"
    environment = {**os.environ, "KUBECONFIG": str(write_kubeconfig(plane, directory / "pages.kubeconfig"))}
    command = [sys.executable, "-c", code, "status", "--pods"]
    paged = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert paged.stdout == status(plane, directory, "--pods").stdout


def _drains(plane: ControlPlane, directory: Path) -> None:
    """Check the limits of drains, and the kubelets: none of them runs here."""
    report = json.loads(status(plane, directory, "--kubelets", "-o", "json").stdout)
    limits = {
        each["values"]["limit"]: each["values"]
        for each in report["findings"]
        if each["code"] in ("drain-cut", "drain-kept")
    }
    assert {limit: values["seconds"] for limit, values in limits.items()} == {
        "cluster-autoscaler": 1200,
        "descheduler": 300,
        "gke-spot": 15,
    }
    assert all(values["gracePeriods"] == {"workers": 3600} for values in limits.values())
    assert limits["gke-spot"]["place"] == f"node {SPOT}"
    assert [each["values"] for each in report["findings"] if each["code"] == "kubelet-silent"] == [{"node": SPOT}]


def _by_rights(plane: ControlPlane, directory: Path) -> None:
    everything = status(plane, directory, "--pods").stdout
    enough = status(
        plane, directory, "--pods", token=account(plane, "enough", (*PERMISSIONS, *DRAIN_LIMIT_PERMISSIONS))
    )
    assert enough.stdout == everything
    proxy = status(
        plane,
        directory,
        "--kubelets",
        token=account(plane, "proxy", (*PERMISSIONS, *DRAIN_LIMIT_PERMISSIONS, *KUBELET_PERMISSIONS)),
    )
    assert f"The kubelet of node {SPOT} does not respond." in proxy.stdout

    without_limits = status(plane, directory, token=account(plane, "without-limits", PERMISSIONS))
    assert without_limits.returncode == status(plane, directory).returncode
    (unknown,) = (line for line in without_limits.stdout.splitlines() if "Other limits are unknown" in line)
    assert "list nodes;" in unknown
    assert "list nodepools.karpenter.sh" in unknown

    none = status(plane, directory, token=account(plane, "none", ()))
    assert none.returncode == 2
    assert none.stdout.count("Unknown: permission missing: ") == len(PERMISSIONS)

    pods = tuple(right for right in PERMISSIONS if "pods" not in right)
    some = status(plane, directory, token=account(plane, "some", pods))
    assert some.returncode == 2
    assert "permission missing: list pods in all namespaces" in some.stdout

    rejected = status(plane, directory, token="nobody-has-this")
    assert rejected.returncode == 2
    assert "rejects the credentials" in rejected.stderr
