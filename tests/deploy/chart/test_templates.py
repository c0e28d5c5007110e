"""The templates are generated from the manifests of kustomize, and a rule that matches nothing fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.chart.templates import CHART, Outdated, is_written, template, written

SOURCE = "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  replicas: 2\n"


@pytest.mark.parametrize(("file", "text"), [*written()], ids=lambda value: getattr(value, "name", ""))
def test_a_template_is_what_its_source_and_its_rules_say(file: Path, text: str) -> None:
    assert file.read_text() == text, "write them anew: make chart"


def test_no_template_is_left_whose_source_is_gone() -> None:
    files = {file for file in (CHART / "templates").rglob("*.yaml") if is_written(file)}
    assert files == {file for file, _ in written() if file.suffix == ".yaml"}


def test_a_rule_whose_text_is_gone_from_the_source_says_which() -> None:
    rule = {"source": "base/a.yaml", "replace": [{"find": "replicas: 3", "put": ""}]}
    with pytest.raises(Outdated, match=r"deploy/base/a\.yaml has 0 times, not 1, what .* replaces:\nreplicas: 3"):
        template(SOURCE, rule, {})


def test_a_condition_of_an_object_that_is_gone_says_which() -> None:
    rule = {"source": "base/a.yaml", "when": {"Service/b": "true"}}
    with pytest.raises(Outdated, match=r"deploy/base/a\.yaml has no Service/b"):
        template(SOURCE, rule, {})


def test_a_template_of_prometheus_stays_one() -> None:
    text = template(SOURCE.replace("2", '"{{ $value }}"'), {"source": "base/a.yaml"}, {})
    assert 'replicas: "{{ "{{" }} $value {{ "}}" }}"' in text
