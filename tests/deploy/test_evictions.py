"""The entry for evictions: it costs other evictions nothing, cannot fail a drain, and goes with the guard."""

from __future__ import annotations

import pytest

from tests.deploy.rendered import NAME, Manifest, entries, every_installation, installed, only
from tests.deploy.test_selectors import LABELS, labelled, matches

UNGUARDED = {"cert-manager", "no-eviction-guard"}
"""The overlays where evictions are carried out as they are asked for."""
SETTING = "GRACEFUL_WORKER_EVICTION_GUARD"


def guard(installation: str = "default") -> Manifest:
    (entry,) = entries(installed(installation), "pods/eviction")
    return entry


@every_installation
def test_evictions_are_sent_by_one_entry_or_by_none_where_the_guard_is_off(installation: str) -> None:
    assert len(entries(installed(installation), "pods/eviction")) == (installation not in UNGUARDED)


@every_installation
def test_pods_are_sent_whether_evictions_are_or_not(installation: str) -> None:
    manifests = installed(installation)
    both = [*entries(manifests, "pods"), *entries(manifests, "pods/eviction")]
    assert both == only(manifests, "MutatingWebhookConfiguration")["webhooks"]
    assert entries(manifests, "pods")


@pytest.mark.parametrize("installation", ["default", "fail-open"])
def test_the_entry_fails_open_and_fast_and_has_no_side_effects(installation: str) -> None:
    entry = guard(installation)
    assert entry["failurePolicy"] == "Ignore"
    # A drain waits for each of its evictions.
    assert entry["timeoutSeconds"] <= 3
    assert entry["sideEffects"] == "None"


def test_the_entry_is_about_evictions_and_nothing_else() -> None:
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


def test_an_eviction_without_a_time_of_its_own_is_not_sent() -> None:
    """Evaluated in a real API server by tests/apiserver."""
    (condition,) = guard()["matchConditions"]
    assert condition["expression"] == "has(object.deleteOptions) && has(object.deleteOptions.gracePeriodSeconds)"


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("namespace", ["shop", "kube-system", NAME])
def test_evictions_of_all_namespaces_are_sent_but_of_the_systems_and_the_webhooks_own(
    namespace: str, label: str | None
) -> None:
    labels = {"kubernetes.io/metadata.name": namespace, **labelled(label)}
    assert matches(guard()["namespaceSelector"], labels) is (namespace == "shop")


def test_no_label_is_asked_for_as_an_eviction_has_none_of_its_pods() -> None:
    assert "objectSelector" not in guard()


@every_installation
def test_the_program_is_told_when_it_is_to_let_evictions_be(installation: str) -> None:
    (container,) = only(installed(installation), "Deployment")["spec"]["template"]["spec"]["containers"]
    told = [variable["value"] for variable in container["env"] if variable["name"] == SETTING]
    assert told == (["false"] if installation == "no-eviction-guard" else [])
