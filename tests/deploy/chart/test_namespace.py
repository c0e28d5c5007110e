"""The chart in a namespace of the user's choice: its name changes, and nothing else."""

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

PLACES = (
    r"\.metadata\.namespace",
    r"\.subjects\[0\]\.namespace",
    r"\.clientConfig\.service\.namespace",
    # The namespaces that are left out.
    r"\.namespaceSelector\.matchExpressions\[\d\]\.values\[\d\]",
    # The account, as the policies on it know it; and where it may write its Secret.
    r"policy graceful-worker-account-\w+\.spec\.matchConditions\[0\]\.expression",
    r"policy graceful-worker-account-secret\.spec\.validations\[1\]\.expression",
    r"certificate graceful-worker\.spec\.dnsnames\[0\]",
    r"\.cert-manager\.io/inject-ca-from",
    # Commands in the descriptions of alerts.
    r"prometheusrule .+\.annotations\.description",
)
"""Where the namespace stands."""


def rendered(variant: str, namespace: str) -> dict[str, Manifest]:
    return by_name(render(*VARIANTS[variant], namespace=namespace))


@every_variant
def test_another_namespace_changes_only_what_stands_for_it(variant: str) -> None:
    changed = [*differences(rendered(variant, NAME), rendered(variant, ELSEWHERE))]
    for where, one, other in changed:
        assert any(re.search(f"{place}$", where, re.IGNORECASE) for place in PLACES), where
        assert other.replace(ELSEWHERE, NAME) == one
    for place in PLACES[:6]:
        assert any(re.search(f"{place}$", where, re.IGNORECASE) for where, _, _ in changed), place


@every_variant
def test_every_place_has_the_other_namespace(variant: str) -> None:
    """Names are the same in every namespace, so whatever looks like the first one in these places was forgotten."""
    default, elsewhere = rendered(variant, NAME), rendered(variant, ELSEWHERE)
    changed = {where for where, _, _ in differences(default, elsewhere)}
    places = [where for where in leaf_paths(default) if any(re.search(f"{place}$", where) for place in PLACES[:3])]
    assert places
    assert [where for where in places if where not in changed] == []


def leaf_paths(value: object, where: str = "") -> list[str]:
    if isinstance(value, dict):
        return [path for field, each in value.items() for path in leaf_paths(each, f"{where}.{field}")]
    if isinstance(value, list):
        return [path for number, each in enumerate(value) for path in leaf_paths(each, f"{where}[{number}]")]
    return [where]


def test_a_release_in_kube_system_leaves_that_out_once() -> None:
    values = [
        expression["values"]
        for entry in rendered("own-ca", "kube-system")["MutatingWebhookConfiguration graceful-worker"]["webhooks"]
        for expression in entry["namespaceSelector"]["matchExpressions"]
        if expression["key"] == "kubernetes.io/metadata.name"
    ]
    assert values == [["kube-system"]] * 3
