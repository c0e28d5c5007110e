"""`kubectl apply -k deploy/` in a real cluster: what works afterwards, and that its removal leaves nothing."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.builders import namespace, pod
from tests.cluster.settings import read_install_refusal
from tests.pod_stream import PodStream
from tests.waiting import wait_until
from webhook.core.annotations import INJECTED_LABEL, LABEL, LABEL_ENABLED

REFUSAL = read_install_refusal()
pytestmark = [pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL), pytest.mark.timeout(600)]

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
NAMESPACE = "graceful-worker"
WORKERS = "graceful-worker-e2e-install"
POLICY = DEPLOY / "components" / "validating-policy" / "policy.yaml"
UNPROTECTED: str = next(YAML(typ="safe").load_all(POLICY))["spec"]["validations"][0]["message"]
"""The message of the validating policy."""


def kubectl(*arguments: str, stdin: str = "") -> str:
    done = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def wait_for_rollout() -> None:
    kubectl("-n", NAMESPACE, "rollout", "status", "deployment", "graceful-worker", "--timeout=180s")


def create(labels: dict[str, str] | None = None) -> tuple[str, bool]:
    """Create a pod as a dry run; return the error or the warnings, and whether the pod is protected."""
    manifest = json.dumps(pod(labels=labels, metadata={"namespace": WORKERS}))
    command = ["kubectl", "create", "--dry-run=server", "-o", "json", "-f", "-"]
    done = subprocess.run(command, input=manifest, capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr, False
    stored: dict[str, Any] = json.loads(done.stdout)
    return done.stderr, stored["metadata"].get("labels", {}).get(INJECTED_LABEL) == "true"


def bundles() -> list[str]:
    output = kubectl(
        "get", "mutatingwebhookconfiguration", "graceful-worker", "-o", "jsonpath={.webhooks[*].clientConfig.caBundle}"
    )
    return output.split()


@pytest.fixture(scope="module", autouse=True)
def installation() -> Iterator[None]:
    """Install the webhook with one command, and remove it at the end."""
    assert kubectl("get", "namespace", NAMESPACE, "--ignore-not-found") == "", "graceful-worker is installed already"
    kubectl("apply", "-k", str(DEPLOY))
    try:
        wait_for_rollout()
        kubectl("apply", "-f", "-", stdin=json.dumps(namespace(WORKERS, {LABEL: LABEL_ENABLED})))
        yield
    finally:
        kubectl("delete", "namespace", WORKERS, "--ignore-not-found", "--wait=false")
        kubectl("delete", "-k", str(DEPLOY), "--ignore-not-found")


def test_a_labelled_pod_is_protected_without_further_steps() -> None:
    assert create() == ("", True)


def test_applying_the_manifests_again_changes_nothing() -> None:
    before = bundles()
    kubectl("diff", "-k", str(DEPLOY))
    kubectl("apply", "-k", str(DEPLOY))
    assert bundles() == before


def test_switching_to_server_side_apply_and_back_keeps_the_bundle() -> None:
    before = bundles()
    kubectl("apply", "--server-side", "-k", str(DEPLOY))
    kubectl("apply", "-k", str(DEPLOY))
    assert bundles() == before


def test_a_bundle_that_is_emptied_is_restored() -> None:
    before = bundles()
    patch = '[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]'
    kubectl("patch", "mutatingwebhookconfiguration", "graceful-worker", "--type=json", "-p", patch)
    wait_until(lambda: bundles() == before, 10)


def test_a_requested_rotation_fails_no_pod_creation() -> None:
    before = bundles()
    with PodStream(create, clients=2) as stream:
        annotation = f"graceful-worker/rotate={time.time_ns()}"
        kubectl("-n", NAMESPACE, "annotate", "secret", "graceful-worker-ca", "--overwrite", annotation)
        wait_until(lambda: bundles() != before)
        time.sleep(15)
    stream.assert_unbroken()


def test_a_rolling_update_of_the_webhook_fails_no_pod_creation() -> None:
    with PodStream(create, clients=2) as stream:
        kubectl("-n", NAMESPACE, "rollout", "restart", "deployment", "graceful-worker")
        wait_for_rollout()
        wait_until(lambda: len(kubectl("-n", NAMESPACE, "get", "pods", "-o", "name").split()) == 2, 90)
    stream.assert_unbroken()


def test_while_the_webhook_is_down_labelled_pods_are_refused_and_others_are_created() -> None:
    scale(0)
    error, _ = create()
    assert "failed calling webhook" in error
    assert create({LABEL: "disabled"}) == ("", False)
    scale(2)
    wait_until(lambda: create() == ("", True))


def test_while_the_webhook_is_down_with_fail_open_pods_are_created_unprotected() -> None:
    kubectl("apply", "-k", str(DEPLOY / "overlays" / "fail-open"))
    scale(0)
    wait_until(lambda: create() == ("", False), 10)
    kubectl("apply", "-k", str(DEPLOY))
    scale(2)
    wait_until(lambda: create() == ("", True))


def test_the_policy_denies_a_labelled_pod_that_is_not_protected() -> None:
    kubectl("apply", "-k", str(DEPLOY / "overlays" / "validating-policy-deny"))
    try:
        wait_until(lambda: create({LABEL: LABEL_ENABLED}) == ("", True))
        kubectl("delete", "mutatingwebhookconfiguration", "graceful-worker")
        wait_until(lambda: UNPROTECTED in create({LABEL: LABEL_ENABLED})[0], 30)
    finally:
        kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "graceful-worker")
    kubectl("apply", "-k", str(DEPLOY))
    wait_until(lambda: create() == ("", True))


def test_the_removal_leaves_nothing_behind_and_refuses_no_pod() -> None:
    with PodStream(create) as stream:
        kubectl("delete", "-k", str(DEPLOY))
    assert (stream.refused, stream.warnings) == ([], [])
    kinds = "mutatingwebhookconfigurations,clusterroles,clusterrolebindings,namespaces"
    kinds += ",validatingadmissionpolicies,validatingadmissionpolicybindings"
    left = kubectl("get", kinds, "-o", "name").split()
    assert [name for name in left if "/graceful-worker" in name and WORKERS not in name] == []


def scale(replicas: int) -> None:
    kubectl("-n", NAMESPACE, "scale", "deployment", "graceful-worker", f"--replicas={replicas}")
    wait_until(lambda: len(kubectl("-n", NAMESPACE, "get", "pods", "-o", "name").split()) == replicas, 90)
    if replicas:
        wait_for_rollout()
