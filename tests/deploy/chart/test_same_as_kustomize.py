"""The chart and the kustomize base install the same objects, field by field, with every component."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.deploy.chart.comparison import by_name, differences
from tests.deploy.chart.rendered import HERE, refusal, render
from tests.deploy.rendered import COMPONENTS, INSTALLATIONS, NAME, Manifest, combined, installed, select_one
from tests.deploy.test_combinations import INTERACTING_SUBSETS, OTHERS, queries_registries
from webhook import __version__

HELMS_LABELS = {
    "app.kubernetes.io/managed-by": "Helm",
    "app.kubernetes.io/version": __version__,
    "helm.sh/chart": f"{NAME}-{__version__}",
}
COMBINATIONS = [
    (*subset, *others) for subset in INTERACTING_SUBSETS for others in ((), OTHERS) if len(subset) > 1 or others
]
"""Of those that change the same objects, all; of the others, which add some of their own, all at once."""


def of_component(name: str) -> Path:
    """Return the values that are equal to a component."""
    return HERE / "components" / f"{name}.yaml"


def of_overlay(name: str) -> list[Path]:
    """Return the values that are equal to an overlay: those of its components, and its own."""
    kustomization = YAML(typ="safe").load(INSTALLATIONS[name] / "kustomization.yaml")
    own = HERE / "overlays" / f"{name}.yaml"
    components = [of_component(Path(folder).name) for folder in kustomization.get("components", ())]
    return [*components, *([own] if own.exists() else [])]


def of_kustomize(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Leave out the namespace, which Helm itself makes: --create-namespace."""
    return by_name([manifest for manifest in manifests if manifest["kind"] != "Namespace"])


def of_helm(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Take away the labels that Helm's charts add, which every object has to have."""
    found = by_name(manifests)
    for manifest in found.values():
        labels: dict[str, Any] = manifest["metadata"]["labels"]
        assert {name: labels.pop(name, None) for name in HELMS_LABELS} == HELMS_LABELS
    return found


def assert_same(chart: list[Manifest], kustomize: list[Manifest]) -> None:
    one, other = of_helm(chart), of_kustomize(kustomize)
    assert [*differences(one, other)] == []


def test_every_component_has_values_that_are_equal_to_it() -> None:
    assert sorted(file.stem for file in (HERE / "components").iterdir()) == COMPONENTS


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_an_overlay_is_some_values_of_the_chart(installation: str) -> None:
    assert_same(render(*of_overlay(installation)), installed(installation))


def contradiction(components: tuple[str, ...]) -> str:
    """Say which value the chart refuses in a combination, as the program does; empty where it takes all."""
    if "pull-secrets" in components and not queries_registries(components):
        return "pullSecrets.enabled: true"
    return ""


@pytest.mark.parametrize("components", COMBINATIONS, ids="+".join)
def test_a_combination_of_components_is_these_values_together_or_refused(
    components: tuple[str, ...], tmp_path: Path
) -> None:
    values = [of_component(name) for name in components]
    if said := contradiction(components):
        assert said in refusal(*values)
    else:
        assert_same(render(*values), combined(components, tmp_path))


def test_the_notes_name_the_labels_that_the_namespace_has_in_kustomize() -> None:
    notes = (HERE.parent.parent.parent / "deploy/helm/graceful-worker/templates/NOTES.txt").read_text()
    labels = select_one(installed("default"), "Namespace")["metadata"]["labels"]
    wanted = {f"{name}={value}" for name, value in labels.items() if name.startswith("pod-security.kubernetes.io/")}
    assert {word for word in notes.split() if word.startswith("pod-security.kubernetes.io/")} == wanted
    assert labels.keys() == {"app.kubernetes.io/name", *(label.partition("=")[0] for label in wanted)}
