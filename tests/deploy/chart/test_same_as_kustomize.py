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

HELM_LABELS = {
    "app.kubernetes.io/managed-by": "Helm",
    "app.kubernetes.io/version": __version__,
    "helm.sh/chart": f"{NAME}-{__version__}",
}
COMBINATIONS = [
    (*subset, *others) for subset in INTERACTING_SUBSETS for others in ((), OTHERS) if len(subset) > 1 or others
]
"""All combinations of components that change the same objects, without the others and with all of them."""


def component_values(name: str) -> Path:
    """Return the values that are equivalent to a component."""
    return HERE / "components" / f"{name}.yaml"


def overlay_values(name: str) -> list[Path]:
    """Return the values that are equivalent to an overlay: those of its components, and its own."""
    kustomization = YAML(typ="safe").load(INSTALLATIONS[name] / "kustomization.yaml")
    own = HERE / "overlays" / f"{name}.yaml"
    components = [component_values(Path(folder).name) for folder in kustomization.get("components", ())]
    return [*components, *([own] if own.exists() else [])]


def kustomize_objects(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Leave out the namespace, which Helm itself creates: --create-namespace."""
    return by_name([manifest for manifest in manifests if manifest["kind"] != "Namespace"])


def chart_objects(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Remove the labels that the chart adds, and check that every object has them."""
    found = by_name(manifests)
    for manifest in found.values():
        labels: dict[str, Any] = manifest["metadata"]["labels"]
        assert {name: labels.pop(name, None) for name in HELM_LABELS} == HELM_LABELS
    return found


def assert_same(chart: list[Manifest], kustomize: list[Manifest]) -> None:
    one, other = chart_objects(chart), kustomize_objects(kustomize)
    assert [*differences(one, other)] == []


def test_every_component_has_equivalent_values() -> None:
    assert sorted(file.stem for file in (HERE / "components").iterdir()) == COMPONENTS


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_every_overlay_has_equivalent_values(installation: str) -> None:
    assert_same(render(*overlay_values(installation)), installed(installation))


def contradiction(components: tuple[str, ...]) -> str:
    """Return the value that the chart refuses in a combination, as the program does, or an empty string."""
    if "pull-secrets" in components and not queries_registries(components):
        return "pullSecrets.enabled: true"
    return ""


@pytest.mark.parametrize("components", COMBINATIONS, ids="+".join)
def test_a_combination_of_components_has_equivalent_values_or_is_refused(
    components: tuple[str, ...], tmp_path: Path
) -> None:
    values = [component_values(name) for name in components]
    if refused := contradiction(components):
        assert refused in refusal(*values)
    else:
        assert_same(render(*values), combined(components, tmp_path))


def test_the_notes_name_the_labels_that_the_namespace_has_in_kustomize() -> None:
    notes = (HERE.parent.parent.parent / "deploy/helm/graceful-worker/templates/NOTES.txt").read_text()
    labels = select_one(installed("default"), "Namespace")["metadata"]["labels"]
    wanted = {f"{name}={value}" for name, value in labels.items() if name.startswith("pod-security.kubernetes.io/")}
    assert {word for word in notes.split() if word.startswith("pod-security.kubernetes.io/")} == wanted
    assert labels.keys() == {"app.kubernetes.io/name", *(label.partition("=")[0] for label in wanted)}
