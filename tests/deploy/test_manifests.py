"""The rendered manifests: valid for every supported Kubernetes, in a safe order, and each overlay as described."""

from __future__ import annotations

import re

import pytest
from ruamel.yaml import YAML

from certs.review_path import PUBLIC_PATH
from tests.deploy.rendered import (
    COMPONENTS,
    DEPLOY,
    INSTALLATIONS,
    NAME,
    OVERLAYS,
    entries,
    every_installation,
    every_installation_and_release,
    faults,
    installed,
    select_kind,
    select_one,
)

POLICY_OVERLAYS = ("validating-policy", "validating-policy-deny")
CLUSTER_SCOPED = {
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
BEFORE_THE_NAMESPACE = (
    "MutatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
    "MutatingWebhookConfiguration",
)


@every_installation_and_release
def test_every_manifest_is_valid(installation: str, release: str) -> None:
    assert faults(installed(installation), release) == {}


@every_installation
def test_every_namespaced_object_is_in_the_namespace_and_every_object_has_the_name_label(installation: str) -> None:
    for manifest in installed(installation):
        assert manifest["metadata"].get("namespace") == (None if manifest["kind"] in CLUSTER_SCOPED else NAME)
        assert manifest["metadata"]["labels"]["app.kubernetes.io/name"] == NAME


@every_installation
def test_policies_and_the_webhook_configuration_are_deleted_before_the_webhook(installation: str) -> None:
    """kubectl deletes in the order of the manifests: cmd/delete visits them in their order.

    https://github.com/kubernetes/kubectl/blob/master/pkg/cmd/delete/delete.go
    """
    kinds = list(dict.fromkeys(manifest["kind"] for manifest in installed(installation)))
    expected = [kind for kind in BEFORE_THE_NAMESPACE if kind in kinds]
    assert kinds[: len(expected) + 1] == [*expected, "Namespace"]
    assert expected[-1] == "MutatingWebhookConfiguration"


@every_installation
def test_every_installation_has_the_same_order(installation: str) -> None:
    """So each is still in a safe order after a component is added."""
    options, default = (
        YAML(typ="safe").load(folder / "kustomization.yaml")["sortOptions"]
        for folder in (INSTALLATIONS[installation], DEPLOY)
    )
    assert options == default
    first = options["legacySortOptions"]["orderFirst"]
    assert first[: len(BEFORE_THE_NAMESPACE) + 1] == [*BEFORE_THE_NAMESPACE, "Namespace"]


@every_installation
def test_the_namespace_is_restricted_and_lacks_the_label_for_workers(installation: str) -> None:
    labels = select_one(installed(installation), "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert NAME not in labels


@every_installation
def test_the_configuration_calls_the_service_and_is_shipped_without_bundle_and_secret_path(installation: str) -> None:
    manifests = installed(installation)
    service = select_one(manifests, "Service")
    expected = {"name": service["metadata"]["name"], "namespace": NAME, "port": 443}
    if installation == "cert-manager":
        expected["path"] = PUBLIC_PATH
    assert service["spec"]["ports"][0]["port"] == expected["port"]
    for entry in select_one(manifests, "MutatingWebhookConfiguration")["webhooks"]:
        assert entry["clientConfig"] == {"service": expected}


@every_installation
def test_every_entry_has_a_unique_name_that_the_api_server_accepts(installation: str) -> None:
    """Three segments or more; the schema does not check this.

    https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
    """
    names = [entry["name"] for entry in select_one(installed(installation), "MutatingWebhookConfiguration")["webhooks"]]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"[a-z0-9-]+([.][a-z0-9-]+){2,}", name)


@every_installation
def test_the_image_is_named_without_a_registry(installation: str) -> None:
    (container,) = select_one(installed(installation), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert re.fullmatch(rf"{NAME}:\d+\.\d+\.\d+", container["image"])


def test_no_secret_is_shipped() -> None:
    for installation in INSTALLATIONS:
        assert select_kind(installed(installation), "Secret") == []


def test_each_component_has_an_overlay_of_its_name() -> None:
    assert set(COMPONENTS) <= set(OVERLAYS)


def test_fail_open_changes_the_failure_policy_for_pods_and_nothing_else() -> None:
    default, changed = installed("default"), installed("fail-open")
    for entry in entries(default, "pods"):
        assert entry["failurePolicy"] == "Fail"
        entry["failurePolicy"] = "Ignore"
    assert changed == default


@pytest.mark.parametrize(
    "overlay", ["drain-watch", "drain-watch-monitoring", "eviction-policy", "monitoring", *POLICY_OVERLAYS]
)
def test_an_overlay_only_adds_objects(overlay: str) -> None:
    default = installed("default")
    assert [manifest for manifest in installed(overlay) if manifest in default] == default


def test_high_availability_is_three_replicas_on_three_nodes_and_nothing_else() -> None:
    default, changed = installed("default"), installed("high-availability")
    spec = select_one(default, "Deployment")["spec"]
    spec["replicas"] = 3
    (by_node,) = (
        constraint
        for constraint in spec["template"]["spec"]["topologySpreadConstraints"]
        if constraint["topologyKey"] == "kubernetes.io/hostname"
    )
    by_node["whenUnsatisfiable"] = "DoNotSchedule"
    assert changed == default


@pytest.mark.parametrize(
    ("overlay", "actions"), [("validating-policy", ["Warn", "Audit"]), ("validating-policy-deny", ["Deny"])]
)
def test_the_policy_warns_or_denies(overlay: str, actions: list[str]) -> None:
    manifests = installed(overlay)
    binding = select_one(manifests, "ValidatingAdmissionPolicyBinding", NAME)["spec"]
    assert binding["policyName"] == select_one(manifests, "ValidatingAdmissionPolicy", NAME)["metadata"]["name"]
    assert binding["validationActions"] == actions
