"""The chart in a namespace of the user's choice: only the name of the namespace changes."""

from __future__ import annotations

import re

import pytest

from tests.deploy.chart.comparison import by_name, differences
from tests.deploy.chart.rendered import HERE, render
from tests.deploy.rendered import NAME, Manifest

ELSEWHERE = "platform"
EVERYTHING = tuple(
    HERE / "components" / f"{name}.yaml"
    for name in ("drain-watch", "drain-watch-monitoring", "eviction-policy", "monitoring", "validating-policy")
)
VARIANTS = {
    "own-ca": (*EVERYTHING, HERE / "components" / "pull-secrets.yaml"),
    "cert-manager": (*EVERYTHING, HERE / "components" / "cert-manager.yaml"),
}
every_variant = pytest.mark.parametrize("variant", VARIANTS)

FIELDS = (
    r"\.metadata\.namespace",
    r"\.subjects\[0\]\.namespace",
    r"\.clientConfig\.service\.namespace",
    # The excluded namespaces.
    r"\.namespaceSelector\.matchExpressions\[\d\]\.values\[\d\]",
    # The user name of the account in its policies, and the namespace in which it may write its Secret.
    r"policy graceful-worker-account-\w+\.spec\.matchConditions\[0\]\.expression",
    r"policy graceful-worker-account-secret\.spec\.validations\[1\]\.expression",
    r"certificate graceful-worker\.spec\.dnsnames\[0\]",
    r"\.cert-manager\.io/inject-ca-from",
    # Commands in the descriptions of alerts.
    r"prometheusrule .+\.annotations\.description",
)
"""The fields that contain the namespace."""


def rendered(variant: str, namespace: str) -> dict[str, Manifest]:
    return by_name(render(*VARIANTS[variant], namespace=namespace))


@every_variant
def test_another_namespace_changes_only_the_fields_that_contain_it(variant: str) -> None:
    changed = [*differences(rendered(variant, NAME), rendered(variant, ELSEWHERE))]
    for where, one, other in changed:
        assert any(re.search(f"{pattern}$", where, re.IGNORECASE) for pattern in FIELDS), where
        assert other.replace(ELSEWHERE, NAME) == one
    for pattern in FIELDS[:6]:
        assert any(re.search(f"{pattern}$", where, re.IGNORECASE) for where, _, _ in changed), pattern


@every_variant
def test_every_namespace_field_has_the_other_namespace(variant: str) -> None:
    """Names are the same in every namespace, so each of these fields that does not change was forgotten."""
    default, elsewhere = rendered(variant, NAME), rendered(variant, ELSEWHERE)
    changed = {where for where, _, _ in differences(default, elsewhere)}
    paths = [where for where in leaf_paths(default) if any(re.search(f"{pattern}$", where) for pattern in FIELDS[:3])]
    assert paths
    assert [where for where in paths if where not in changed] == []


def leaf_paths(value: object, where: str = "") -> list[str]:
    if isinstance(value, dict):
        return [path for field, each in value.items() for path in leaf_paths(each, f"{where}.{field}")]
    if isinstance(value, list):
        return [path for number, each in enumerate(value) for path in leaf_paths(each, f"{where}[{number}]")]
    return [where]


def test_a_release_in_kube_system_excludes_that_namespace_once() -> None:
    values = [
        expression["values"]
        for entry in rendered("own-ca", "kube-system")["MutatingWebhookConfiguration graceful-worker"]["webhooks"]
        for expression in entry["namespaceSelector"]["matchExpressions"]
        if expression["key"] == "kubernetes.io/metadata.name"
    ]
    assert values == [["kube-system"]] * 3
