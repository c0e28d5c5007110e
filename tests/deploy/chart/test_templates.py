"""The templates are generated from the manifests of kustomize, and a rule that matches nothing fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.chart.templates import CHART, Outdated, generated, is_generated, template

SOURCE = "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  replicas: 2\n"


@pytest.mark.parametrize(("file", "text"), [*generated()], ids=lambda value: getattr(value, "name", ""))
def test_every_template_is_up_to_date_with_its_source_and_rules(file: Path, text: str) -> None:
    assert file.read_text() == text, "write them anew: make chart"


def test_no_generated_template_remains_without_a_source() -> None:
    files = {file for file in (CHART / "templates").rglob("*.yaml") if is_generated(file)}
    assert files == {file for file, _ in generated() if file.suffix == ".yaml"}


def test_a_rule_whose_text_is_missing_from_the_source_is_reported() -> None:
    rule = {"source": "base/a.yaml", "replace": [{"find": "replicas: 3", "put": ""}]}
    with pytest.raises(Outdated, match=r"deploy/base/a\.yaml has 0 times, not 1, what .* replaces:\nreplicas: 3"):
        template(SOURCE, rule, {})


def test_a_condition_of_a_missing_object_is_reported() -> None:
    rule = {"source": "base/a.yaml", "when": {"Service/b": "true"}}
    with pytest.raises(Outdated, match=r"deploy/base/a\.yaml has no Service/b"):
        template(SOURCE, rule, {})


def test_a_template_for_prometheus_is_escaped_from_helm() -> None:
    text = template(SOURCE.replace("2", '"{{ $value }}"'), {"source": "base/a.yaml"}, {})
    assert 'replicas: "{{ "{{" }} $value {{ "}}" }}"' in text
