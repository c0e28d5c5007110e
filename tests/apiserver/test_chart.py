"""The chart in a real API server, from install to uninstall: no pod is refused, and no object is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.apiserver.control_plane import ControlPlane, control_plane, missing
from tests.apiserver.helm_release import (
    DRAIN,
    NAME,
    NAMESPACE,
    SERVICES,
    WORKERS,
    Release,
    Tool,
    ending_with_the_deployment,
    labelled_pods,
    objects,
    previous_chart,
    release,
    service_missing,
    try_labelled_pod,
)
from tests.apiserver.installation import apply, kubectl, kubectl_missing, service_account_token, write_kubeconfig
from tests.apiserver.replicas import Replicas, replicas
from tests.deploy.chart.rendered import IN_CLUSTER, helm_missing, helm_program
from tests.deploy.chart.templates import CHART
from tests.deploy.rendered import UNPACKED, faults
from tests.golden.schemas import OLDEST, RELEASES
from tests.waiting import wait_until
from webhook.server.options import Cluster

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(bool(kubectl_missing()), reason=kubectl_missing()),
    pytest.mark.skipif(bool(helm_missing()), reason=helm_missing()),
    pytest.mark.skipif(bool(service_missing()), reason=service_missing()),
    pytest.mark.xdist_group("apiserver"),
    pytest.mark.timeout(600),
    # A replica that is killed in a handshake leaves httpx with a socket that it does not close.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

VALUES = ("--set", "validatingPolicy.enabled=true,validatingPolicy.deny=true,drainWatch.enabled=true")
"""With the policy that denies pods which the webhook did not protect."""
WITHOUT_DENIAL = ("--reuse-values", "--set", "validatingPolicy.deny=false")
every_helm = pytest.mark.parametrize("name", ["helm-4", "helm-3"])
"""Helm 4 uses server-side apply; Helm 3 merges three ways: the previous manifest, the new one, and the live object."""


def tool(name: str) -> Tool:
    if name == "helm-3":
        program = shutil.which("helm", path=UNPACKED / "3")
        if program is None:
            pytest.skip("no helm in .local/helm/3: make helm")
        return Tool(program)
    # kustomize folds long expressions differently from the chart, which is a conflict for server-side apply.
    return Tool(helm_program(), takes_over=("--take-ownership", "--force-conflicts"))


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("chart"), SERVICES) as plane:
        plane.create_namespace(WORKERS, {})
        # The API server creates this Service only after it is ready.
        wait_until(lambda: "services default/kubernetes" in objects(plane))
        yield plane


def serving_replicas(one: Release, directory: Path) -> Iterator[Replicas]:
    """Run two replicas at the address of the release's Service; yield them once they protect pods."""
    with replicas(one.plane, directory, 2, one.namespace, drain=DRAIN, host=one.service_address(), port=443) as group:
        group.wait_until_ready(2)
        wait_until(lambda: try_labelled_pod(one.plane) == ("", True))
        yield group


@every_helm
def test_no_pod_is_refused_from_install_to_uninstall_and_no_object_is_left_behind(
    plane: ControlPlane, tmp_path: Path, name: str
) -> None:
    before = objects(plane)
    with release(plane, tool(name), tmp_path) as one:
        one.install(*VALUES)
        for group in serving_replicas(one, tmp_path):
            clients = one.clients()
            assert all(client["caBundle"] for client in clients)
            with labelled_pods(plane) as stream:
                one.upgrade(*VALUES, "--set", "replicas=3,podAnnotations.changed=yes")
                assert one.clients() == clients
                replace_a_replica(group)
                one.upgrade(*VALUES, "--set", "failurePolicy=Ignore")
                one.helm("rollback", "1")
                assert one.clients() == clients
                deployment = one.deployment()
                assert deployment is not None
                assert deployment["spec"]["replicas"] == 2
                assert (stream.refused, stream.unprotected) == ([], 0)
                one.upgrade(*WITHOUT_DENIAL)
                time.sleep(2)  # the wait that README.md prescribes
                with ending_with_the_deployment(one, group):
                    one.helm("uninstall")
                    assert objects(plane) - before == set()
                    for replica in group.running:
                        assert replica.process.wait(2 * DRAIN + 5) == 0
                time.sleep(1)
            assert stream.refused == []
            assert stream.protected > 0
            assert stream.unprotected > 0
    assert objects(plane) == before


def replace_a_replica(group: Replicas) -> None:
    """Replace a replica, as a rolling update does."""
    group.start()
    group.wait_until_ready(3)
    group.stop(group.running[0])


@every_helm
def test_upgrade_from_and_rollback_to_the_previous_chart_keep_the_bundle_and_refuse_no_pod(
    plane: ControlPlane, tmp_path: Path, name: str
) -> None:
    chart = previous_chart(tmp_path)
    if chart is None:
        pytest.skip("the history holds no other version of the chart; a shallow clone has none")
    with release(plane, tool(name), tmp_path) as one:
        one.install(chart=chart)
        for _ in serving_replicas(one, tmp_path):
            clients = one.clients()
            with labelled_pods(plane) as stream:
                one.upgrade()
                assert one.clients() == clients
                one.helm("rollback", "1")
                assert one.clients() == clients
                one.upgrade()
            assert one.clients() == clients
            assert (stream.refused, stream.unprotected) == ([], 0)
            assert stream.protected > 0


@every_helm
def test_helm_takes_over_a_kustomize_installation_and_no_pod_is_refused(
    plane: ControlPlane, tmp_path: Path, name: str
) -> None:
    before = objects(plane)
    apply(plane, tmp_path)
    with release(plane, tool(name), tmp_path, namespace=NAME) as one:
        for _ in serving_replicas(one, tmp_path):
            clients = one.clients()
            with labelled_pods(plane) as stream:
                one.install(*one.tool.takes_over)
                assert one.clients() == clients
            assert (stream.refused, stream.unprotected) == ([], 0)
            assert stream.protected > 0
    assert objects(plane) == before


def test_a_second_release_is_refused(plane: ControlPlane, tmp_path: Path) -> None:
    with release(plane, tool("helm-4"), tmp_path) as one:
        one.install()
        other = Release(plane, one.tool, one.kubeconfig, "elsewhere")
        with pytest.raises(AssertionError, match="exists and cannot be imported into the current release"):
            other.install()
        other.helm("uninstall", "--no-hooks", "--ignore-not-found")


def create_cert_manager_crds(plane: ControlPlane) -> None:
    """Create the CRDs without cert-manager itself: the test creates its Secrets."""
    for plural, kind in (("certificates", "Certificate"), ("issuers", "Issuer")):
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        version = {"name": "v1", "served": True, "storage": True, "schema": schema}
        spec = {"group": "cert-manager.io", "scope": "Namespaced", "versions": [version]}
        body = {
            "metadata": {"name": f"{plural}.cert-manager.io"},
            "spec": {**spec, "names": {"plural": plural, "singular": kind.lower(), "kind": kind}},
        }
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        plane.client.post(path, json=body).raise_for_status()
    paths = [f"/apis/cert-manager.io/v1/{plural}" for plural in ("certificates", "issuers")]
    wait_until(lambda: all(plane.client.get(path).is_success for path in paths))


def test_the_uninstall_hooks_are_valid_and_delete_cert_managers_secrets(plane: ControlPlane, tmp_path: Path) -> None:
    create_cert_manager_crds(plane)
    before = objects(plane)
    with release(plane, tool("helm-4"), tmp_path) as one:
        one.install(*VALUES, "--set", "certManager.enabled=true")
        hooks = [hook for hook in YAML(typ="safe").load_all(one.hooks()) if hook]
        assert [faults(hooks, version) for version in (OLDEST, RELEASES[-1])] == [{}, {}]
        secrets = [hook["metadata"]["name"] for hook in hooks if hook["kind"] == "Secret"]
        made = [each["spec"]["secretName"] for each in certificates(one)]
        assert set(secrets) == {Cluster(namespace=NAMESPACE).secret, *made}
        for name in secrets:
            body = {"metadata": {"name": name}, "type": "kubernetes.io/tls", "data": {"tls.crt": "", "tls.key": ""}}
            plane.client.post(f"/api/v1/namespaces/{NAMESPACE}/secrets", json=body).raise_for_status()
    assert objects(plane) == before


def certificates(one: Release) -> list[dict[str, Any]]:
    path = f"/apis/cert-manager.io/v1/namespaces/{one.namespace}/certificates"
    found: list[dict[str, Any]] = one.plane.client.get(path).raise_for_status().json()["items"]
    return found


def test_helm_4_upgrades_a_release_of_helm_3(plane: ControlPlane, tmp_path: Path) -> None:
    with release(plane, tool("helm-3"), tmp_path) as one:
        one.install()
        for _ in serving_replicas(one, tmp_path):
            clients = one.clients()
            newer = Release(plane, tool("helm-4"), one.kubeconfig)
            with labelled_pods(plane) as stream:
                newer.upgrade("--set", "replicas=3")
                newer.upgrade("--server-side=true", "--force-conflicts", "--set", "replicas=4")
            assert newer.clients() == clients
            assert (stream.refused, stream.unprotected) == ([], 0)


def dry_run(one: Release, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the script of the `helm test` pod, with the rights of its ServiceAccount."""
    directory.mkdir()
    rendered = directory / "test.yaml"
    command = [one.tool.program, "template", NAME, str(CHART), "--namespace", one.namespace, *IN_CLUSTER]
    command += ["--show-only", "templates/tests/dry-run.yaml"]
    rendered.write_text(subprocess.run(command, text=True, capture_output=True, check=True).stdout)
    kubeconfig = write_kubeconfig(one.plane, directory / "admin.kubeconfig")
    # No kubelet runs the pod here.
    kubectl(kubeconfig, "apply", "-f", str(rendered), "--selector", "app.kubernetes.io/name=graceful-worker")
    try:
        token = service_account_token(one.plane, f"{NAME}-test", one.namespace)
        (directory / "token").write_text(f"{token}\n")
        shutil.copy(one.plane.ca, directory / "ca.crt")
        url = one.plane.client.base_url
        where = {
            "KUBERNETES_SERVICE_HOST": url.host,
            "KUBERNETES_SERVICE_PORT": str(url.port),
            "ACCOUNT": str(directory),
        }
        script = [sys.executable, "-c", (CHART / "files" / "dry_run.py").read_text(), "default"]
        return subprocess.run(script, env={**os.environ, **where}, text=True, capture_output=True, check=False)
    finally:
        kubectl(kubeconfig, "delete", "-f", str(rendered), "--ignore-not-found")


def test_helm_test_passes_if_the_webhook_works_and_fails_if_it_is_down_or_not_called(
    plane: ControlPlane, tmp_path: Path
) -> None:
    with release(plane, tool("helm-4"), tmp_path) as one:
        one.install()
        down = dry_run(one, tmp_path / "down")
        assert (down.returncode, down.stdout) == (1, "")
        assert down.stderr.startswith("the API server refuses the pod: Internal error occurred: failed calling webhook")
        for _ in serving_replicas(one, tmp_path):
            works = dry_run(one, tmp_path / "works")
            assert (works.returncode, works.stderr) == (0, "")
            assert works.stdout.startswith("The pod would be protected. graceful-worker/status: {")
        kubectl(one.kubeconfig, "delete", "mutatingwebhookconfiguration", NAME)
        alone = dry_run(one, tmp_path / "alone")
        assert alone.returncode == 1
        assert alone.stderr.startswith("the pod has no annotation graceful-worker/status: the webhook was not called.")


def test_an_install_fails_if_the_cluster_lacks_a_kind_or_the_namespace_is_excluded(
    plane: ControlPlane, tmp_path: Path
) -> None:
    with release(plane, tool("helm-4"), tmp_path) as one:
        with pytest.raises(AssertionError, match=r"monitoring\.enabled: true needs the Prometheus operator"):
            one.install("--set", "monitoring.enabled=true")
        nowhere = Release(plane, one.tool, one.kubeconfig, "default")
        with pytest.raises(AssertionError, match="The namespace default would be left out by the webhook"):
            nowhere.install()
