"""The chart's values: what each changes, which are refused with which message, and that the result is valid."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from tests.deploy.chart.comparison import ABSENT, by_name, differences
from tests.deploy.chart.rendered import HERE, helm, refusal, render
from tests.deploy.chart.templates import CHART
from tests.deploy.rendered import faults, select_kind
from tests.deploy.test_deployment import violations
from tests.golden.schemas import OLDEST, RELEASES
from webhook import __version__
from webhook.cli.serve import serve_command

CASES = sorted((HERE / "values").glob("*.yaml"))
REFUSED = sorted((HERE / "refused").glob("*.yaml"))
VALUES: dict[str, Any] = YAML(typ="safe").load(CHART / "values.yaml")
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
BESIDE = "# beside: "
every_case = pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)


def changes(values: Path) -> str:
    """Return what values change, one line per field; their first line may name components that are enabled before."""
    first = values.read_text().partition("\n")[0]
    names = first.removeprefix(BESIDE).split(", ") if first.startswith(BESIDE) else []
    before = [HERE / "components" / f"{name}.yaml" for name in names]
    found = differences(by_name(render(*before)), by_name(render(*before, values)))
    return "".join(f"{where[1:]}: {_shown(one)} → {_shown(other)}\n" for where, one, other in found)


def _shown(value: Any) -> str:
    if value == ABSENT:
        return ABSENT
    text = json.dumps(value).replace(f"graceful-worker:{__version__}", "graceful-worker:VERSION")
    return "present" if isinstance(value, dict) and "kind" in value else text


@every_case
def test_values_change_exactly_these_fields(case: Path) -> None:
    """Regenerate the files .changes with `python -m tests.deploy.chart.test_values`, and review them."""
    assert changes(case) == case.with_suffix(".changes").read_text()


@every_case
@pytest.mark.parametrize("release", [OLDEST, RELEASES[-1]])
def test_the_chart_with_values_is_valid_in_the_oldest_and_the_newest_kubernetes(case: Path, release: str) -> None:
    assert faults(render(case), release) == {}


@every_case
def test_with_all_values_pods_comply_with_the_restricted_standard_and_set_no_user(case: Path) -> None:
    """OpenShift assigns a range of users to each namespace, and accepts no others."""
    for manifest in render(case):
        if manifest["kind"] == "Deployment":
            pod = manifest["spec"]["template"]["spec"]
            assert violations(pod) == []
            assert "runAs" not in json.dumps(pod).replace("runAsNonRoot", "")


@every_case
def test_values_pass_the_strict_lint(case: Path) -> None:
    result = helm("lint", "--strict", str(CHART), f"--values={case}")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("case", REFUSED, ids=lambda path: path.stem)
def test_invalid_values_are_refused_by_name_and_contradictory_ones_with_an_explanation(case: Path) -> None:
    """For a value that violates the schema, the message and the format of the path in it depend on Helm's version."""
    message = case.read_text().partition("\n")[0].removeprefix("# says: ")
    assert message in refusal(case).replace("/", ".")


def set_by_the_chart() -> set[tuple[str, str]]:
    """Return the labels, annotations and node selectors that the chart itself sets on pods, by value and name."""
    specs = [
        each["spec"]["template"] for each in select_kind(render(HERE / "components" / "drain-watch.yaml"), "Deployment")
    ]
    return {
        (value, name)
        for template in specs
        for value, names in (
            ("podLabels", template["metadata"]["labels"]),
            ("podAnnotations", template["metadata"]["annotations"]),
            ("nodeSelector", template["spec"]["nodeSelector"]),
        )
        for name in names
    }


def test_values_cannot_override_what_the_chart_sets_on_pods(tmp_path: Path) -> None:
    """A duplicate key would be a YAML error, or change a selector."""
    found = set_by_the_chart()
    assert len(found) > 3
    for value, name in sorted(found):
        file = tmp_path / "values.yaml"
        file.write_text(json.dumps({value: {name: "x"}}))
        assert f"{value} may not set {name}: the chart sets it." in refusal(file)


def branches(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Return every mapping in the values, with its path."""
    yield path, values
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from branches(value, (*path, name))


def test_a_misspelled_name_is_reported_at_every_level(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {}
    names = []
    for path, level in branches(VALUES):
        if path[-1:] in [("requests",), ("limits",)]:
            continue  # any name of a resource is valid here
        here = wrong
        for name in path:
            here = here.setdefault(name, {})
        here |= {f"{name}x": "" for name in level}
        names += [f"{name}x" for name in level]
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(wrong))
    words = re.findall(r"\w+", refusal(file))
    assert [name for name in names if name not in words] == []


def test_the_schema_describes_exactly_the_existing_values() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.Draft7Validator(SCHEMA).validate(VALUES)
    for path, level in branches(VALUES):
        schema = SCHEMA
        for name in path:
            schema = resolved(schema["properties"][name] if "properties" in schema else schema["additionalProperties"])
        if "properties" in schema:
            assert schema["additionalProperties"] is False
            assert schema["properties"].keys() - {"global", "claims"} == level.keys(), path


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = SCHEMA["definitions"][name] if name else schema
    return found


def test_the_schema_allows_exactly_the_settings_of_the_program() -> None:
    names = SCHEMA["definitions"]["variable"]["properties"]["name"]["then"]["enum"]
    assert names == sorted(str(parameter.envvar) for parameter in serve_command.params if parameter.envvar)


def test_the_chart_has_the_programs_version_and_requires_the_oldest_supported_kubernetes() -> None:
    chart = YAML(typ="safe").load(CHART / "Chart.yaml")
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    assert chart["kubeVersion"] == f">={OLDEST}-0"
    message = refusal(options=["--kube-version", "1.29.4"])
    assert f"requires kubeVersion: >={OLDEST}-0" in message


def test_the_chart_can_be_packaged(tmp_path: Path) -> None:
    result = helm("package", str(CHART), "--destination", str(tmp_path))
    assert result.returncode == 0, result.stderr
    package = tmp_path / f"graceful-worker-{__version__}.tgz"
    assert helm("lint", "--strict", str(package)).returncode == 0


if __name__ == "__main__":
    for file in CASES:
        file.with_suffix(".changes").write_text(changes(file))
