"""Helm hooks, which are not part of a release, such as the pod of `helm test`. See tests/apiserver/test_chart.py."""

from __future__ import annotations

import pytest

from tests.deploy.chart.rendered import HERE, IN_CLUSTER, refusal, render
from tests.deploy.rendered import NAME, Manifest, faults, select_kind, select_one
from tests.deploy.test_deployment import violations
from tests.golden.schemas import OLDEST, RELEASES

TEST = "graceful-worker-test"
CERT_MANAGER = HERE / "components" / "cert-manager.yaml"
DENY = HERE / "overlays" / "validating-policy-deny.yaml"
KINDS = ("--api-versions", "cert-manager.io/v1/Certificate")


def hooks(manifests: list[Manifest], event: str) -> list[Manifest]:
    annotated = [(manifest["metadata"].get("annotations", {}), manifest) for manifest in manifests]
    return [manifest for annotations, manifest in annotated if annotations.get("helm.sh/hook") == event]


def test_helm_template_renders_no_hook_that_kubectl_would_apply() -> None:
    for manifest in render(CERT_MANAGER, DENY):
        assert "helm.sh/hook" not in manifest["metadata"].get("annotations", {})


def test_argo_cd_gets_no_hook_for_an_object_that_exists_already() -> None:
    """Argo CD would try to create it, and deleting the application would hang: only Helm itself deletes it first."""
    manifests = render(CERT_MANAGER, DENY, options=[*IN_CLUSTER, *KINDS])
    assert hooks(manifests, "pre-delete") == hooks(manifests, "post-delete") == []


@pytest.mark.parametrize("release", [OLDEST, RELEASES[-1]])
def test_the_objects_of_helm_test_are_valid_and_deleted_afterwards(release: str) -> None:
    found = hooks(render(options=IN_CLUSTER), "test")
    assert sorted(hook["kind"] for hook in found) == ["Pod", "Role", "RoleBinding", "ServiceAccount"]
    assert faults(found, release) == {}
    for hook in found:
        assert hook["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"


def test_no_selector_of_the_installation_matches_the_test_pod() -> None:
    manifests = render(options=IN_CLUSTER)
    labels = select_one(manifests, "Pod")["metadata"]["labels"].items()
    selectors = [select_one(manifests, "Service")["spec"]["selector"]]
    selectors += [policy["spec"]["podSelector"]["matchLabels"] for policy in select_kind(manifests, "NetworkPolicy")]
    selectors += [budget["spec"]["selector"]["matchLabels"] for budget in select_kind(manifests, "PodDisruptionBudget")]
    assert len(selectors) == 5
    assert [selector for selector in selectors if selector.items() <= labels] == []


def test_the_test_pod_complies_with_the_restricted_standard_and_is_in_no_mesh() -> None:
    manifests = render(options=IN_CLUSTER)
    pod = select_one(manifests, "Pod")
    assert violations(pod["spec"]) == []
    template = select_one(manifests, "Deployment")["spec"]["template"]
    (webhook,), (container,) = template["spec"]["containers"], pod["spec"]["containers"]
    assert container["image"] == webhook["image"]
    mesh = {name: value for name, value in template["metadata"]["labels"].items() if "app.kubernetes.io" not in name}
    assert mesh
    assert mesh.items() <= pod["metadata"]["labels"].items()


def test_the_test_may_create_pods_in_its_namespace_and_nothing_else() -> None:
    manifests = render(options=[*IN_CLUSTER, "--set", "test.namespace=sandbox"])
    role, binding = select_one(manifests, "Role", TEST), select_one(manifests, "RoleBinding", TEST)
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "sandbox"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": TEST, "namespace": NAME}]
    assert select_one(manifests, "Pod")["spec"]["containers"][0]["args"][-1] == "sandbox"


def test_a_test_in_the_webhooks_own_namespace_is_refused_in_a_cluster() -> None:
    error = refusal(options=[*IN_CLUSTER, "--set", f"test.namespace={NAME}"])
    assert "set test.namespace to another namespace" in error


@pytest.mark.parametrize(
    ("value", "needs"),
    [
        ("certManager.enabled", "cert-manager"),
        ("monitoring.enabled", "the Prometheus operator"),
        ("evictionPolicy.enabled", "Kubernetes 1.36 or later"),
    ],
)
def test_a_kind_that_the_cluster_lacks_is_an_error_that_says_what_to_install(value: str, needs: str) -> None:
    error = refusal(options=[*IN_CLUSTER, "--set", f"{value}=true"])
    assert f"{value}: true needs {needs}, and the cluster has no " in error
