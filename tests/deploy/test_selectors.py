"""The shipped selectors, evaluated as in the API server: which pods are sent, and how often."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import pytest

from tests.deploy.rendered import NAME, Manifest, entries, every_installation, installed, select_kind, select_one
from webhook.core.annotations import LABEL
from webhook.core.select.pods import CRITICAL_CLASSES

LABELS = (None, "enabled", "disabled", "true")
NAMESPACES = ("shop", "kube-system", "graceful-worker")
every_place = pytest.mark.parametrize(
    ("namespace", "namespace_label", "pod_label"), [*product(NAMESPACES, LABELS, LABELS)]
)


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements"""
    assert set(selector) <= {"matchExpressions"}
    for requirement in selector.get("matchExpressions", ()):
        value = labels.get(requirement["key"])
        if requirement["operator"] == "In" and value not in requirement["values"]:
            return False
        if requirement["operator"] == "NotIn" and value in requirement["values"]:
            return False
        assert requirement["operator"] in ("In", "NotIn")
    return True


def labelled(value: str | None) -> dict[str, str]:
    return {} if value is None else {LABEL: value}


def configuration(installation: str = "default") -> Manifest:
    return select_one(installed(installation), "MutatingWebhookConfiguration")


def is_selected(selectors: dict[str, Any], namespace: str, namespace_label: str | None, pod_label: str | None) -> bool:
    namespace_labels = {"kubernetes.io/metadata.name": namespace, **labelled(namespace_label)}
    return matches(selectors["namespaceSelector"], namespace_labels) and matches(
        selectors["objectSelector"], labelled(pod_label)
    )


@every_installation
@every_place
def test_a_pod_is_sent_once_if_it_or_its_namespace_is_labelled_and_it_is_not_opted_out(
    installation: str, namespace: str, namespace_label: str | None, pod_label: str | None
) -> None:
    sent = [
        entry["name"]
        for entry in entries(installed(installation), "pods")
        if is_selected(entry, namespace, namespace_label, pod_label)
    ]
    if namespace != "shop" or pod_label == "disabled" or "enabled" not in (namespace_label, pod_label):
        assert sent == []
    elif namespace_label == "enabled":
        assert sent == ["namespace.label.graceful-worker"]
    else:
        assert sent == ["pod.label.graceful-worker"]


@pytest.mark.parametrize("installation", ["validating-policy", "validating-policy-deny"])
@every_place
def test_the_validating_policy_matches_the_labelled_pods_that_are_sent_to_the_webhook(
    installation: str, namespace: str, namespace_label: str | None, pod_label: str | None
) -> None:
    constraints = select_one(installed(installation), "ValidatingAdmissionPolicy", NAME)["spec"]["matchConstraints"]
    is_matched = is_selected(constraints, namespace, namespace_label, pod_label)
    assert is_matched is (namespace == "shop" and pod_label == "enabled")


def test_the_validating_policy_matches_the_same_requests_as_the_webhook() -> None:
    constraints = select_one(installed("validating-policy"), "ValidatingAdmissionPolicy", NAME)["spec"][
        "matchConstraints"
    ]
    assert [constraints["resourceRules"]] * 2 == [entry["rules"] for entry in entries(installed("default"), "pods")]


@every_installation
def test_system_critical_pods_on_which_the_webhook_depends_are_not_sent(installation: str) -> None:
    """The core would not change them either. Evaluated in a real API server by tests/apiserver/test_outage.py."""
    manifests = installed(installation)
    policies = [
        policy for policy in select_kind(manifests, "ValidatingAdmissionPolicy") if policy["metadata"]["name"] == NAME
    ]
    for each in [*entries(manifests, "pods"), *(policy["spec"] for policy in policies)]:
        condition = each["matchConditions"][-1]
        assert condition["name"] == "is-not-system-critical"
        assert set(re.findall(r"'([^']+)'", condition["expression"])) == CRITICAL_CLASSES
    assert select_one(manifests, "Deployment")["spec"]["template"]["spec"]["priorityClassName"] in CRITICAL_CLASSES


@every_installation
def test_aks_does_not_change_the_selectors(installation: str) -> None:
    assert configuration(installation)["metadata"]["labels"]["admissions.enforcer/disabled"] == "true"


def test_the_configuration_sorts_before_istios() -> None:
    for name in ("istio-revision-tag-default", "istio-sidecar-injector"):
        assert configuration()["metadata"]["name"] < name


@pytest.mark.parametrize("position", [0, 1])
def test_an_entry_for_pods_is_reinvoked_has_no_side_effects_and_fails_closed_and_fast(position: int) -> None:
    entry = entries(installed("default"), "pods")[position]
    assert entry["reinvocationPolicy"] == "IfNeeded"
    assert entry["sideEffects"] == "None"
    assert entry["failurePolicy"] == "Fail"
    assert entry["timeoutSeconds"] <= 5
    assert entry["rules"] == [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["pods"],
            "scope": "Namespaced",
        }
    ]
