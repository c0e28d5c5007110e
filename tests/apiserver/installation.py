"""Installs `deploy/` into the tests' API server, which calls the webhook by a URL instead of a Service."""

from __future__ import annotations

import base64
import datetime
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from certs.authority import issue_certificate
from tests.apiserver.control_plane import ASSETS, TOKEN, ControlPlane

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
NAMESPACE = "graceful-worker"
SERVICE_ACCOUNT = "graceful-worker"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
CONFIGURATION = f"{CONFIGURATIONS}/graceful-worker"
MERGE = {"Content-Type": "application/merge-patch+json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}


def kubectl_missing() -> str:
    """Return why kubectl cannot be run; empty if it is found."""
    return "" if _kubectl() else f"no {ASSETS / 'kubectl'}, and none on the PATH"


def kubectl(kubeconfig: Path, *arguments: str) -> str:
    """Run kubectl, and return its output."""
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    command = [_kubectl() or "kubectl", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _kubectl() -> str | None:
    return shutil.which(ASSETS / "kubectl") or shutil.which("kubectl")


def write_kubeconfig(plane: ControlPlane, file: Path, token: str = TOKEN) -> Path:
    """Write a kubeconfig, by default the administrator's."""
    file.write_text(
        f"""apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "{plane.client.base_url}", certificate-authority: {plane.ca} }}}}]
users: [{{name: test, user: {{token: {token}}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
current-context: test
"""
    )
    return file


def service_account_token(plane: ControlPlane, account: str = SERVICE_ACCOUNT, namespace: str = NAMESPACE) -> str:
    """Return a token of the webhook's ServiceAccount, or of another one: it has only the rights that deploy/ grants."""
    url = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
    return str(plane.client.post(url, json=body).raise_for_status().json()["status"]["token"])


def apply(plane: ControlPlane, directory: Path, folder: str = ".", *options: str) -> None:
    """Apply deploy/ or an overlay of it with kubectl, as a user does."""
    environment = {**os.environ, "KUBECONFIG": str(write_kubeconfig(plane, directory / "admin.kubeconfig"))}
    command = [_kubectl() or "kubectl", "apply", *options, "-k", str(DEPLOY / folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def call_at(plane: ControlPlane, url: str, bundle: str = "") -> None:
    """Make the API server call the webhook at a URL; without a `bundle` (base64), the webhook writes the caBundle."""
    client = {"url": url, **({"caBundle": bundle} if bundle else {})}
    patch = [
        {"op": "replace", "path": f"/webhooks/{index}/clientConfig", "value": client}
        for index, _ in enumerate(configuration(plane)["webhooks"])
    ]
    plane.client.patch(CONFIGURATION, content=json.dumps(patch), headers=JSON_PATCH).raise_for_status()


def configuration(plane: ControlPlane) -> dict[str, Any]:
    """Return the live configuration."""
    found: dict[str, Any] = plane.client.get(CONFIGURATION).raise_for_status().json()
    return found


def make_ready(plane: ControlPlane) -> None:
    """Write what the controllers, the kubelet and the webhook would write; none of them runs here."""
    bundle = base64.b64encode(
        issue_certificate(["graceful-worker.graceful-worker.svc"], validity=datetime.timedelta(days=365)).ca
    ).decode()
    patch = [
        {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": bundle}
        for index, _ in enumerate(configuration(plane)["webhooks"])
    ]
    plane.client.patch(CONFIGURATION, content=json.dumps(patch), headers=JSON_PATCH).raise_for_status()
    ready = {"status": {"replicas": 2, "readyReplicas": 2}}
    url = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/graceful-worker/status"
    plane.client.patch(url, content=json.dumps(ready), headers=MERGE).raise_for_status()
    endpoints = {
        "metadata": {"name": "graceful-worker-1", "labels": {"kubernetes.io/service-name": "graceful-worker"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [f"10.9.0.{number}"], "conditions": {"ready": True}} for number in (1, 2)],
    }
    url = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
    plane.client.post(url, json=endpoints).raise_for_status()


def account(plane: ControlPlane, name: str, rights: tuple[str, ...]) -> str:
    """Create a ServiceAccount with the given rights, and return a token of it."""
    rules = []
    for right in rights:
        verb, _, kind = right.partition(" (")[0].partition(" ")
        resource, _, group = kind.partition(".")
        rules.append({"apiGroups": [group], "resources": [resource], "verbs": [verb]})
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    metadata = {"metadata": {"name": name}}
    plane.client.post("/api/v1/namespaces/default/serviceaccounts", json=metadata).raise_for_status()
    plane.client.post(f"{rbac}/clusterroles", json={**metadata, "rules": rules}).raise_for_status()
    binding = {
        **metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
    }
    plane.client.post(f"{rbac}/clusterrolebindings", json=binding).raise_for_status()
    url = f"/api/v1/namespaces/default/serviceaccounts/{name}/token"
    return str(plane.client.post(url, json={"spec": {}}).raise_for_status().json()["status"]["token"])
