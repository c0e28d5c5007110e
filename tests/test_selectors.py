"""The shipped selectors, evaluated as the API server evaluates them: who is sent to the webhook, and how often."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from webhook.core.annotations import LABEL

CONFIGURATION = YAML(typ="safe").load(Path(__file__).parent.parent / "deploy" / "webhook-configuration.yaml")
LABELS = (None, "enabled", "disabled", "true")
NAMESPACES = ("shop", "kube-system", "graceful-worker")


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


def entries_for(namespace: str, namespace_label: str | None, pod_label: str | None) -> list[str]:
    namespace_labels = {"kubernetes.io/metadata.name": namespace, **labelled(namespace_label)}
    return [
        entry["name"]
        for entry in CONFIGURATION["webhooks"]
        if matches(entry["namespaceSelector"], namespace_labels)
        and matches(entry["objectSelector"], labelled(pod_label))
    ]


@pytest.mark.parametrize(("namespace", "namespace_label", "pod_label"), [*product(NAMESPACES, LABELS, LABELS)])
def test_a_pod_is_sent_once_if_its_namespace_or_itself_is_labelled_and_it_is_not_opted_out(
    namespace: str, namespace_label: str | None, pod_label: str | None
) -> None:
    wanted = namespace == "shop" and pod_label != "disabled" and "enabled" in (namespace_label, pod_label)
    assert len(entries_for(namespace, namespace_label, pod_label)) == (1 if wanted else 0)


def test_the_configuration_sorts_before_istios() -> None:
    for name in ("istio-revision-tag-default", "istio-sidecar-injector"):
        assert CONFIGURATION["metadata"]["name"] < name


@pytest.mark.parametrize("entry", CONFIGURATION["webhooks"], ids=lambda entry: entry["name"])
def test_an_entry_is_called_again_has_no_side_effects_and_fails_closed_and_fast(entry: dict[str, Any]) -> None:
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
