"""Drains are selected by the names that kubectl uses for resources."""

from __future__ import annotations

import pytest

from webhook.core.ownership import Owner
from webhook.drains.targets import is_selected, read_target


def is_emails_pod_selected(*targets: str) -> bool:
    owner = Owner("Deployment", "emails", "apps/v1")
    return is_selected([read_target(target) for target in targets], owner=owner, pod="emails-5d9-x", node="node-1")


@pytest.mark.parametrize(
    "text",
    [
        "deployment/emails",
        "deployments/emails",
        "deploy/emails",
        "Deployment.apps/emails",
        "deployment.v1.apps/emails",
        "pod/emails-5d9-x",
        "po/emails-5d9-x",
        "node/node-1",
        "nodes/node-1",
        "no/node-1",
    ],
)
def test_a_pod_is_selected_by_its_owner_its_name_and_its_node(text: str) -> None:
    assert is_emails_pod_selected(text)


@pytest.mark.parametrize("text", ["deployment/other", "statefulset/emails", "node/node-2", "pod/emails"])
def test_a_pod_is_not_selected_by_another_name_or_kind(text: str) -> None:
    assert not is_emails_pod_selected(text)


def test_without_a_target_all_pods_are_selected_and_of_several_targets_one_has_to_match() -> None:
    assert is_emails_pod_selected()
    assert is_emails_pod_selected("node/node-2", "deploy/emails")


def test_owners_of_custom_kinds_are_selected_by_the_name_of_the_kind() -> None:
    owner = Owner("Rollout", "emails", "argoproj.io/v1alpha1")
    assert is_selected([read_target("rollouts/emails")], owner=owner, pod="x", node="")


@pytest.mark.parametrize("text", ["emails", "/emails", "deployment/", "deployment/a/b", ""])
def test_an_invalid_target_is_refused_with_a_valid_example(text: str) -> None:
    with pytest.raises(ValueError, match="deployment/emails"):
        read_target(text)
