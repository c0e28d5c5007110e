"""Pods that have an image and no command: a real API server, real registries, and the overlay's rights."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
import trustme

from tests.apiserver.control_plane import ControlPlane, control_plane, free_ports, missing
from tests.apiserver.installation import (
    NAMESPACE,
    apply,
    call_at,
    configuration,
    kubectl_missing,
    service_account_token,
    write_kubeconfig,
)
from tests.builders import Json, admission_review, container, pod
from tests.images.docker_registry import PASSWORD, USER, docker_registry
from tests.images.docker_registry import missing_program as registry_missing
from tests.images.oci_images import build_image
from webhook.core.annotations import INJECTED_LABEL, LABEL, LABEL_ENABLED, STATUS_ANNOTATION

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(bool(kubectl_missing()), reason=kubectl_missing()),
    pytest.mark.skipif(bool(registry_missing()), reason=registry_missing()),
    pytest.mark.xdist_group("apiserver"),
]

PROCESS = {"Entrypoint": ["docker-entrypoint"], "Cmd": ["celery", "-A", "shop", "worker"], "StopSignal": "SIGQUIT"}
FRAMEWORK = "celery"
SECRET = "pull"
ACCOUNT = "worker"


@dataclass(frozen=True)
class Cluster:
    """The API server, and the names of a public image, of a private one, and of one that does not exist."""

    plane: ControlPlane
    open_image: str
    private_image: str
    missing_image: str


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("images")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "registry-ca.crt")
    folders = [directory / name for name in ("open", "closed")]
    for folder in folders:
        folder.mkdir()
    with ExitStack() as stack:
        open_registry = stack.enter_context(docker_registry(folders[0]))
        closed_registry = stack.enter_context(docker_registry(folders[1], authority))
        plane = stack.enter_context(control_plane(directory))
        apply(plane, directory, "overlays/pull-secrets")
        kubeconfig = write_kubeconfig(plane, directory / "webhook.kubeconfig", service_account_token(plane))
        options = [
            *("--registry-plain-http", open_registry.host, "--registry-local", open_registry.host),
            *("--registry-local", closed_registry.host, "--registry-ca", str(directory / "registry-ca.crt")),
            "--pull-secrets",
        ]
        stack.callback(_end, _serve(plane, directory, kubeconfig, options))
        built = build_image(PROCESS)
        images = (open_registry.push("team/shop", built, "1"), closed_registry.push("team/shop", built, "1"))
        _make_namespaces(plane, closed_registry.host)
        yield Cluster(plane, *images, f"{open_registry.host}/team/none:1")


def _serve(plane: ControlPlane, directory: Path, kubeconfig: Path, options: list[str]) -> subprocess.Popen[bytes]:
    (port,) = free_ports(1)
    own_ca = ["--namespace", NAMESPACE, "--extra-host", "127.0.0.1"]
    command = ["-m", "webhook", "serve", "--host", "127.0.0.1", "--port", str(port), "--drain", "0", *own_ca, *options]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    with (directory / "webhook.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log, env=environment)
    call_at(plane, f"https://127.0.0.1:{port}/mutate")
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)


def _make_namespaces(plane: ControlPlane, closed_host: str) -> None:
    """Create one whose pods may name a Secret, one whose ServiceAccount names it, and one with neither."""
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    config = base64.b64encode(json.dumps({"auths": {closed_host: {"auth": auth}}}).encode()).decode()
    for namespace in ("with-secret", "with-account", "without"):
        plane.create_namespace(namespace, {LABEL: LABEL_ENABLED})
    for namespace in ("with-secret", "with-account"):
        secret = {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": config}}
        _create(plane, namespace, "secrets", {"kind": "Secret", "metadata": {"name": SECRET}, **secret})
    account = {"kind": "ServiceAccount", "metadata": {"name": ACCOUNT}, "imagePullSecrets": [{"name": SECRET}]}
    _create(plane, "with-account", "serviceaccounts", account)
    deadline = time.monotonic() + 30
    while not plane.create_pod("without", pod(labels={LABEL: LABEL_ENABLED}), dry_run=True).is_success:
        assert time.monotonic() < deadline, "the webhook is not called"
        time.sleep(0.2)


def _create(plane: ControlPlane, namespace: str, resource: str, manifest: Json) -> None:
    body = {"apiVersion": "v1", **manifest}
    plane.client.post(f"/api/v1/namespaces/{namespace}/{resource}", json=body).raise_for_status()


def pod_of(image: str, *, labelled: bool = True, **spec: Any) -> Json:
    """Return a pod whose manifest names an image and no command."""
    labels = {LABEL: LABEL_ENABLED} if labelled else {}
    return pod("", container(command=[], image=image), labels=labels, **spec)


def recognised(response: httpx.Response) -> str:
    """Return the framework recognised in a protected pod; empty if its image could not be read."""
    assert response.is_success, response.text
    metadata = response.json()["metadata"]
    assert metadata["labels"][INJECTED_LABEL] == "true"
    framework: str = json.loads(metadata["annotations"][STATUS_ANNOTATION])["workers"]["worker"].get("framework", "")
    return framework


def test_a_pod_with_only_an_image_is_protected(cluster: Cluster) -> None:
    assert recognised(cluster.plane.create_pod("without", pod_of(cluster.open_image))) == FRAMEWORK


def test_a_private_image_is_read_with_the_pods_own_secret(cluster: Cluster) -> None:
    made = pod_of(cluster.private_image, imagePullSecrets=[{"name": SECRET}])
    assert recognised(cluster.plane.create_pod("with-secret", made)) == FRAMEWORK


def test_a_private_image_is_read_with_the_secret_of_the_service_account(cluster: Cluster) -> None:
    made = pod_of(cluster.private_image, serviceAccountName=ACCOUNT)
    assert recognised(cluster.plane.create_pod("with-account", made)) == FRAMEWORK


def test_what_one_namespace_may_read_is_not_disclosed_to_another(cluster: Cluster) -> None:
    made = pod_of(cluster.private_image, imagePullSecrets=[{"name": SECRET}])
    assert recognised(cluster.plane.create_pod("with-secret", made)) == FRAMEWORK
    response = cluster.plane.create_pod("without", made)
    assert recognised(response) == ""
    assert FRAMEWORK not in response.text


def test_a_client_other_than_the_api_server_learns_nothing_about_a_private_image(cluster: Cluster) -> None:
    """Another client on the network sends a review that names a foreign namespace and the Secret in it."""
    made = pod_of(cluster.private_image, imagePullSecrets=[{"name": SECRET}])
    assert recognised(cluster.plane.create_pod("with-secret", made)) == FRAMEWORK
    review = admission_review(made, namespace="with-secret")
    live = configuration(cluster.plane)["webhooks"][0]["clientConfig"]["url"]
    known = urlsplit(live).path
    for path, is_disclosed in (("/mutate", False), ("/", False), (f"/mutate/{64 * 'a'}", False), (known, True)):
        response = httpx.post(urljoin(live, path), json=review, verify=False).raise_for_status().json()["response"]
        assert response["allowed"]
        patch = base64.b64decode(response["patch"]).decode()
        assert (FRAMEWORK in patch) is is_disclosed, path


@pytest.mark.parametrize("labelled", [True, False])
def test_a_pod_whose_image_does_not_exist_is_protected_as_an_unknown_worker(cluster: Cluster, labelled: bool) -> None:
    assert recognised(cluster.plane.create_pod("without", pod_of(cluster.missing_image, labelled=labelled))) == ""
