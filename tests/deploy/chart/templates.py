"""Generates the chart's templates from the manifests of kustomize: `make chart`.

So each object and its comments exist once, in deploy/base or a component; templates.toml has what the values change.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from webhook import __version__

ROOT = Path(__file__).parent.parent.parent.parent
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "graceful-worker"
RULES = Path(__file__).with_name("templates.toml")
MARK = "Written by `make chart` from "
_METADATA = re.compile(r"^metadata:\n  name: \S+\n(?:  namespace: .+\n)?", re.MULTILINE)
_NAME_LABEL = "    app.kubernetes.io/name: graceful-worker\n"
_SELECTED_BY_PROMETHEUS = ("ServiceMonitor", "PodMonitor", "PrometheusRule")


class Outdated(Exception):
    """A rule no longer fits its source."""


def generated() -> Iterator[tuple[Path, str]]:
    """Return every generated file and its text.

    Raises:
        Outdated: a rule no longer fits its source.

    """
    rules = tomllib.loads(RULES.read_text())
    for rule in rules["template"]:
        source = rule["source"]
        target = source.removeprefix("base/").removeprefix("components/")
        yield CHART / "templates" / target, template((DEPLOY / source).read_text(), rule, rules["namespace"])
    for source, target in rules["copies"].items():
        yield CHART / "files" / target, (DEPLOY / source).read_text()


def template(text: str, rule: dict[str, Any], namespace: dict[str, str]) -> str:
    """Return the template that is generated from a source."""
    # Alerts contain templates for Prometheus, which Helm must not evaluate.
    text = re.sub(r"\{\{|\}\}", lambda braces: f'{{{{ "{braces[0]}" }}}}', text)
    for find, put in namespace.items():
        text = text.replace(find, put)
    for change in rule.get("replace", ()):
        text = _replaced(text, change, rule["source"])
    conditions = dict(rule.get("when", {}))
    objects = [_object(each, conditions) for each in text.split("\n---\n")]
    for unused in conditions.keys() - {"*"}:
        raise Outdated(f"deploy/{rule['source']} has no {unused}, for which {RULES.name} has a condition")
    head = f"{{{{- /* {MARK}deploy/{rule['source']}: edit that. */}}}}\n"
    return head + "".join(objects)


def _replaced(text: str, change: dict[str, Any], source: str) -> str:
    find = change["find"].replace("VERSION", __version__)
    times, expected = text.count(find), change.get("times", 1)
    if times != expected:
        raise Outdated(
            f"deploy/{source} has {times} times, not {expected}, what {RULES.name} replaces:\n{change['find']}"
        )
    return text.replace(find, change["put"])


def _object(text: str, conditions: dict[str, str]) -> str:
    kind, name = (_field(text, field) for field in (r"^kind: (.+)$", r"^  name: (.+)$"))
    condition = conditions.get("*") or conditions.pop(f"{kind}/{name}", "")
    labelled = f"---\n{_labelled(text.rstrip(), kind)}\n"
    return f"{{{{- if {condition} }}}}\n{labelled}{{{{- end }}}}\n" if condition else labelled


def _field(text: str, pattern: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    assert match, text
    return match[1]


def _labelled(text: str, kind: str) -> str:
    """Replace the label that kustomize adds with the chart's labels."""
    found = _METADATA.search(text)
    assert found, text
    before, after = text[: found.end()], text[found.end() :]
    helper = "monitoringLabels" if kind in _SELECTED_BY_PROMETHEUS else "labels"
    labels = f'  labels:\n    {{{{- include "graceful-worker.{helper}" . | nindent 4 }}}}\n'
    return before + labels + after.removeprefix("  labels:\n").removeprefix(_NAME_LABEL)


def is_generated(file: Path) -> bool:
    """Return whether a file of the chart is generated."""
    return MARK in file.read_text().partition("\n")[0]


if __name__ == "__main__":
    for path, content in generated():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
