"""The webhook behind a real API server: which pods it patches, which it refuses, and which warnings it returns."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from certs.authority import LOCAL_HOSTS, issue_certificate
from tests.apiserver.control_plane import ControlPlane, control_plane, free_ports, missing
from tests.apiserver.installation import CONFIGURATIONS, apply, call_at, configuration, kubectl_missing
from tests.builders import Json, container, pod
from tests.golden.cases import Case, all_cases
from webhook.core.annotations import (
    INJECTED_LABEL,
    INJECTED_SHELL,
    LABEL,
    LABEL_DISABLED,
    LABEL_ENABLED,
    PREFIX,
)
from webhook.core.reasons import Kind
from webhook.core.wrapper import VOLUME

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(bool(kubectl_missing()), reason=kubectl_missing()),
    pytest.mark.xdist_group("apiserver"),
]

APPENDED_NAMESPACE = "appended"
RESTRICTED_NAMESPACE = "restricted"
SIDECARS, SHELL = (f"{PREFIX}{name}" for name in ("sidecars", "shell"))
OTHER_CONFIGURATION = "zz-appends-a-container"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    directory = tmp_path_factory.mktemp("cluster")
    issue_certificate(LOCAL_HOSTS).write(directory / "certs")
    certificate, key = str(directory / "certs" / "tls.crt"), str(directory / "certs" / "tls.key")
    port, other_port = free_ports(2)
    ours = ["-m", "webhook", "serve", "--host", "127.0.0.1", "--port", str(port), "--drain", "0"]
    other = [str(Path(__file__).with_name("appending_webhook.py")), str(other_port), certificate, key]
    with control_plane(directory) as plane, (directory / "webhooks.log").open("wb") as log:
        processes = [
            subprocess.Popen([sys.executable, *command], stdout=log, stderr=log)
            for command in ([*ours, "--tls-cert", certificate, "--tls-key", key], other)
        ]
        try:
            bundle = base64.b64encode((directory / "certs" / "ca.crt").read_bytes()).decode()
            apply(plane, directory)
            call_at(plane, f"https://127.0.0.1:{port}/mutate", bundle)
            _append_later(plane, f"https://127.0.0.1:{other_port}/", bundle)
            _wait_until_called(plane)
            yield plane
        finally:
            for process in processes:
                process.terminate()
                process.wait(30)


def _append_later(plane: ControlPlane, url: str, bundle: str) -> None:
    """Install another webhook, which is called after ours."""
    entry = {
        **configuration(plane)["webhooks"][0],
        "clientConfig": {"url": url, "caBundle": bundle},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": APPENDED_NAMESPACE}},
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
    other = {**kind, "metadata": {"name": OTHER_CONFIGURATION}, "webhooks": [entry]}
    plane.client.post(CONFIGURATIONS, json=other).raise_for_status()
    plane.create_namespace("plain", {})
    plane.create_namespace("workers", {LABEL: LABEL_ENABLED})
    plane.create_namespace(APPENDED_NAMESPACE, {LABEL: LABEL_ENABLED})
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    plane.create_namespace(RESTRICTED_NAMESPACE, {LABEL: LABEL_ENABLED, **restricted})


def _wait_until_called(plane: ControlPlane) -> None:
    """Wait until the API server calls both webhooks: a configuration takes effect only within a second or so."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        responses = [plane.create_pod(name, pod(), dry_run=True) for name in ("workers", APPENDED_NAMESPACE)]
        if all(response.is_success for response in responses):
            ours, both = map(stored, responses)
            if is_injected(ours) and is_injected(both) and len(both["spec"]["containers"]) > 1:
                return
        time.sleep(0.2)
    raise AssertionError([response.text for response in responses])


def stored(response: httpx.Response) -> Json:
    assert response.is_success, response.text
    found: Json = response.json()
    return found


def is_injected(pod: Json) -> bool:
    return bool(pod["metadata"].get("labels", {}).get(INJECTED_LABEL) == "true")


@pytest.mark.parametrize(
    ("namespace", "labels", "injected"),
    [
        ("workers", {}, True),
        ("workers", {LABEL: LABEL_DISABLED}, False),
        ("plain", {LABEL: LABEL_ENABLED}, True),
        ("plain", {}, False),
        ("kube-system", {LABEL: LABEL_ENABLED}, False),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_pod_is_injected_if_it_or_its_namespace_has_the_label(
    cluster: ControlPlane, namespace: str, labels: dict[str, str], injected: bool, dry_run: bool
) -> None:
    assert is_injected(stored(cluster.create_pod(namespace, pod(labels=labels), dry_run=dry_run))) is injected


def test_a_dry_run_returns_the_spec_that_a_creation_stores(cluster: ControlPlane) -> None:
    shown = stored(cluster.create_pod("workers", pod(), dry_run=True))["spec"]
    assert shown == stored(cluster.create_pod("workers", pod()))["spec"]


def test_a_refusal_reaches_the_client_as_an_error_that_shows_a_valid_value(cluster: ControlPlane) -> None:
    response = cluster.create_pod("workers", pod(annotations={"graceful-worker/grace-period": "one hour"}))
    assert response.status_code == 422
    message = response.json()["message"]
    for part in ("graceful-worker/grace-period", '"one hour"', "1h30m"):
        assert part in message


def test_warnings_reach_the_client(cluster: ControlPlane) -> None:
    worker = container(command=["sh", "-c", "php bin/console messenger:consume async"])
    response = cluster.create_pod("workers", pod("", worker))
    assert "loop-impossible: worker: " in response.headers["warning"]


def test_a_container_that_another_webhook_adds_later_is_injected_too(cluster: ControlPlane) -> None:
    spec = stored(cluster.create_pod(APPENDED_NAMESPACE, pod()))["spec"]
    late = next(each for each in spec["containers"] if each["name"] == "late")
    assert VOLUME in [mount["name"] for mount in late["volumeMounts"]]
    assert late["lifecycle"]["preStop"]["exec"]["command"][3:] == ["graceful-worker", "", "/graceful-worker/worker"]


def test_sidecars_become_native_sidecars_including_that_of_another_webhook(cluster: ControlPlane) -> None:
    native = pod("", container("nginx", ["nginx"], image="nginx:1"), container(), annotations={SIDECARS: "native"})
    spec = stored(cluster.create_pod(APPENDED_NAMESPACE, native))["spec"]
    assert [each["name"] for each in spec["containers"]] == ["worker"]
    assert [(c["name"], c["restartPolicy"]) for c in spec["initContainers"]] == [
        ("nginx", "Always"),
        ("late", "Always"),
    ]


@pytest.mark.parametrize("user", [None, 1000])
def test_an_injected_shell_is_admitted_under_the_restricted_pod_security_standard(
    cluster: ControlPlane, user: int | None
) -> None:
    context = {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        **({"runAsUser": user} if user else {}),
    }
    worker = container(securityContext={"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}})
    restricted = pod("", worker, annotations={SHELL: INJECTED_SHELL}, securityContext=context)
    spec = stored(cluster.create_pod(RESTRICTED_NAMESPACE, restricted))["spec"]
    assert [each["name"] for each in spec["initContainers"]] == ["graceful-worker-shell"]


@pytest.mark.parametrize("case", [case for case in all_cases() if case.expected_pod is not None], ids=str)
def test_the_api_server_accepts_the_golden_pod_before_and_after_injection(cluster: ControlPlane, case: Case) -> None:
    def named(pod: Json, label: str) -> Json:
        metadata = {**(pod.get("metadata") or {}), "generateName": "golden-"}
        metadata["labels"] = {**(metadata.get("labels") or {}), LABEL: label}
        return {**pod, "apiVersion": "v1", "kind": "Pod", "metadata": metadata}

    before = cluster.create_pod("plain", named(case.pod, LABEL_DISABLED), dry_run=True)
    if not before.is_success:
        pytest.skip(f"not a pod that this API server takes: {before.json()['message']}")
    after = cluster.create_pod("plain", named(case.injected, LABEL_DISABLED), dry_run=True)
    assert after.is_success, after.json()["message"]
    assert case.injection.decision.outcome is Kind.PROTECTED
