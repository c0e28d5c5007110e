"""The entry for evictions, which exists only with the guard and cannot fail a drain; and the policy in its place."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from tests.deploy.rendered import (
    NAME,
    Manifest,
    combined,
    entries,
    every_installation,
    installed,
    select_kind,
    select_one,
)
from tests.deploy.test_selectors import LABELS, labelled, matches

UNGUARDED = {"cert-manager", "no-eviction-guard"}
"""The overlays in which evictions are carried out as requested."""
SETTING = "GRACEFUL_WORKER_EVICTION_GUARD"


def guard(installation: str = "default") -> Manifest:
    (entry,) = entries(installed(installation), "pods/eviction")
    return entry


@every_installation
def test_evictions_have_one_entry_or_none_if_the_guard_is_off(installation: str) -> None:
    assert len(entries(installed(installation), "pods/eviction")) == (installation not in UNGUARDED)


@every_installation
def test_pods_are_sent_with_and_without_the_guard(installation: str) -> None:
    manifests = installed(installation)
    both = [*entries(manifests, "pods"), *entries(manifests, "pods/eviction")]
    assert both == select_one(manifests, "MutatingWebhookConfiguration")["webhooks"]
    assert entries(manifests, "pods")


@pytest.mark.parametrize("installation", ["default", "fail-open"])
def test_the_entry_fails_open_and_fast_and_has_no_side_effects(installation: str) -> None:
    entry = guard(installation)
    assert entry["failurePolicy"] == "Ignore"
    # A drain waits for each of its evictions.
    assert entry["timeoutSeconds"] <= 5
    assert entry["sideEffects"] == "None"


def test_the_entry_matches_evictions_only() -> None:
    assert guard()["rules"] == [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["pods/eviction"],
            "scope": "Namespaced",
        }
    ]
    # policy/v1beta1, which the cluster autoscaler sends to old clusters, is the same resource.
    assert guard()["matchPolicy"] == "Equivalent"


def test_an_eviction_without_its_own_grace_period_is_not_sent() -> None:
    """Evaluated in a real API server by tests/apiserver."""
    (condition,) = guard()["matchConditions"]
    assert condition["expression"] == "has(object.deleteOptions) && has(object.deleteOptions.gracePeriodSeconds)"


every_namespace = pytest.mark.parametrize(("namespace", "label"), [*product(["shop", "kube-system", NAME], LABELS)])


@every_namespace
def test_evictions_in_all_namespaces_but_kube_system_and_the_webhooks_own_are_sent(
    namespace: str, label: str | None
) -> None:
    labels = {"kubernetes.io/metadata.name": namespace, **labelled(label)}
    assert matches(guard()["namespaceSelector"], labels) is (namespace == "shop")


def test_there_is_no_object_selector_because_an_eviction_lacks_its_pods_labels() -> None:
    assert "objectSelector" not in guard()


@every_installation
def test_only_the_component_no_eviction_guard_switches_the_guard_off(installation: str) -> None:
    (container,) = select_one(installed(installation), "Deployment")["spec"]["template"]["spec"]["containers"]
    values = [variable["value"] for variable in container["env"] if variable["name"] == SETTING]
    assert values == (["false"] if installation == "no-eviction-guard" else [])


def policy(manifests: list[Manifest]) -> Manifest:
    spec: Manifest = select_one(manifests, "MutatingAdmissionPolicy")["spec"]
    return spec


def test_the_policy_is_bound_without_restrictions() -> None:
    manifests = installed("eviction-policy")
    name = select_one(manifests, "MutatingAdmissionPolicy")["metadata"]["name"]
    assert select_one(manifests, "MutatingAdmissionPolicyBinding")["spec"] == {"policyName": name}


@every_namespace
def test_the_policy_matches_the_labelled_namespaces(namespace: str, label: str | None) -> None:
    manifests = installed("eviction-policy")
    labels = {"kubernetes.io/metadata.name": namespace, **labelled(label)}
    constraints = policy(manifests)["matchConstraints"]
    of_namespaces, _ = entries(manifests, "pods")
    assert constraints["namespaceSelector"] == of_namespaces["namespaceSelector"]
    assert matches(constraints["namespaceSelector"], labels) is (namespace == "shop" and label == "enabled")
    # An eviction does not have its pod's labels.
    assert constraints["objectSelector"] == {}


def test_the_policy_matches_the_same_evictions_as_the_webhook_and_fails_open() -> None:
    manifests = installed("eviction-policy")
    (entry,) = entries(manifests, "pods/eviction")
    assert policy(manifests)["matchConstraints"]["resourceRules"] == entry["rules"]
    assert policy(manifests)["matchConstraints"]["matchPolicy"] == entry["matchPolicy"]
    assert policy(manifests)["matchConditions"] == entry["matchConditions"]
    assert policy(manifests)["failurePolicy"] == entry["failurePolicy"] == "Ignore"


def test_the_policy_removes_one_field_and_runs_once() -> None:
    """Its effect is tested in a real API server: tests/apiserver/test_eviction_policy.py."""
    spec = policy(installed("eviction-policy"))
    (mutation,) = spec["mutations"]
    assert mutation["patchType"] == "JSONPatch"
    assert mutation["jsonPatch"]["expression"] == '[JSONPatch{op: "remove", path: "/deleteOptions/gracePeriodSeconds"}]'
    assert spec["reinvocationPolicy"] == "Never"


@pytest.mark.parametrize("other", sorted(UNGUARDED))
def test_the_policy_also_works_if_the_guard_is_off(other: str, tmp_path: Path) -> None:
    manifests = combined(["eviction-policy", other], tmp_path)
    assert select_kind(manifests, "MutatingAdmissionPolicyBinding")
    assert entries(manifests, "pods/eviction") == []
