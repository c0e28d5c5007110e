"""The chart in a real cluster: installed, tested, upgraded, rolled back and uninstalled, as its README says."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.settings import read_install_refusal
from tests.cluster.test_install import UNPROTECTED, WORKERS, bundles, create, kubectl
from tests.deploy.chart.rendered import helm_missing, helm_program
from tests.pod_stream import PodStream
from tests.waiting import wait_until
from webhook.core.annotations import LABEL, LABEL_ENABLED

REFUSAL = read_install_refusal() or helm_missing()
pytestmark = [pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL), pytest.mark.timeout(600)]

CHART = Path(__file__).parent.parent.parent / "deploy" / "helm" / "graceful-worker"
NAMESPACE = "graceful-worker-e2e-chart"
RELEASE = "protection"
"""Differs from the chart's name: the names of the objects do not depend on it."""
KINDS = (
    "mutatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings,clusterroles,"
    "clusterrolebindings"
)
NAMESPACED_KINDS = ",".join(
    (
        "all",
        "configmaps",
        "leases",
        "networkpolicies",
        "poddisruptionbudgets",
        "resourcequotas",
        "rolebindings",
        "roles",
        "secrets",
        "serviceaccounts",
    )
)


def helm(*arguments: str) -> str:
    done = subprocess.run(
        [helm_program(), *arguments, "--namespace", NAMESPACE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}{done.stdout}"
    return done.stdout


def wait_for_rollout() -> None:
    kubectl("-n", NAMESPACE, "rollout", "status", "deployment", "graceful-worker", "--timeout=180s")


def replicas() -> list[str]:
    pods = kubectl("-n", NAMESPACE, "get", "pods", "-l", "app.kubernetes.io/name=graceful-worker", "-o", "name")
    return pods.split()


@pytest.fixture(scope="module", autouse=True)
def installation() -> Iterator[None]:
    """Install the chart with the three commands of its README, and remove what the tests leave behind."""
    configurations = kubectl("get", "mutatingwebhookconfigurations", "-o", "name").split()
    assert not [name for name in configurations if name.endswith("/graceful-worker")], "it is installed already"
    helm("install", RELEASE, str(CHART), "--create-namespace")
    try:
        wait_for_rollout()
        kubectl("create", "namespace", WORKERS)
        kubectl("label", "namespace", WORKERS, f"{LABEL}={LABEL_ENABLED}")
        yield
    finally:
        kubectl("delete", "namespace", WORKERS, "--ignore-not-found", "--wait=false")
        helm("uninstall", RELEASE, "--ignore-not-found")
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")


def test_a_labelled_pod_is_protected_after_the_three_commands() -> None:
    wait_until(lambda: create() == ("", True))


def test_helm_test_passes_and_leaves_no_object_behind() -> None:
    assert "Succeeded" in helm("test", RELEASE)
    assert "graceful-worker-test" not in kubectl("get", "pods,roles,rolebindings,serviceaccounts", "-A", "-o", "name")


def test_the_replicas_start_and_helm_test_passes_in_a_restricted_namespace() -> None:
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    kubectl("-n", NAMESPACE, "rollout", "restart", "deployment", "graceful-worker")
    wait_for_rollout()
    helm("test", RELEASE)


def test_upgrade_and_rollback_refuse_no_pod_and_keep_the_bundle() -> None:
    before = bundles()
    with PodStream(create, clients=2) as stream:
        helm("upgrade", RELEASE, str(CHART), "--set", "podAnnotations.upgraded=yes,drainWatch.enabled=true")
        wait_for_rollout()
        helm("rollback", RELEASE, "1")
        wait_for_rollout()
        wait_until(lambda: len(replicas()) == 2, 90)
    stream.assert_unbroken()
    assert bundles() == before


def test_the_uninstall_refuses_no_pod_and_leaves_no_object_behind() -> None:
    """With the policy that denies unprotected pods, which is turned off before the uninstall, as the README says."""
    helm("upgrade", RELEASE, str(CHART), "--set", "validatingPolicy.enabled=true,validatingPolicy.deny=true")
    wait_until(lambda: create({LABEL: LABEL_ENABLED}) == ("", True))
    helm("upgrade", RELEASE, str(CHART), "--reuse-values", "--set", "validatingPolicy.deny=false")
    time.sleep(2)
    with PodStream(lambda: create({LABEL: LABEL_ENABLED}), clients=2) as stream:
        helm("uninstall", RELEASE)
    messages = stream.refused + stream.warnings
    assert messages or stream.protected or stream.unprotected
    # The policy still warns until it is deleted as well.
    assert [message for message in messages if not message.startswith("Warning: ")] == []
    wait_until(lambda: UNPROTECTED not in create({LABEL: LABEL_ENABLED})[0], 10)
    wait_until(lambda: left() == [], 90)


def left() -> list[str]:
    """Return which objects of the installation remain, apart from the namespace."""
    cluster = [name for name in kubectl("get", KINDS, "-o", "name").split() if "/graceful-worker" in name]
    # What every namespace of this cluster has, such as the CA of its API server.
    usual = kubectl("-n", WORKERS, "get", NAMESPACED_KINDS, "-o", "name").split()
    present = kubectl("-n", NAMESPACE, "get", NAMESPACED_KINDS, "-o", "name").split()
    return cluster + [name for name in present if name not in usual]
