"""The output of `explain` and `diff`."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import click

from webhook.cli.manifests import Template
from webhook.core.injection import Injection
from webhook.core.pod import JsonObject
from webhook.core.reasons import Finding, Kind

_SIGNS = {Kind.CHANGE: ("+", "green"), Kind.NOTE: ("·", None), Kind.WARNING: ("!", "yellow")}
_OUTCOME_COLOURS = {Kind.PROTECTED: "green", Kind.LEFT_ALONE: "cyan", Kind.REFUSED: "red"}


def explain(path: str, template: Template, injection: Injection) -> Iterator[str]:
    """Explain in lines what changes in a pod, container by container, and why."""
    decision = injection.decision
    yield click.style(f"{path}, {template.title}", bold=True)
    outcome = click.style(decision.outcome.value, fg=_OUTCOME_COLOURS[decision.outcome])
    yield f"  {outcome}: {decision.verdict} [{decision.reason.value}]"
    yield from _section("the pod", [f for f in decision.findings if not f.container])
    for name in _container_names(template.pod):
        yield from _section(f"container {name}", [f for f in decision.findings if f.container == name])


def _container_names(pod: JsonObject) -> list[str]:
    spec = pod.get("spec")
    if not isinstance(spec, dict):
        return []
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return [container["name"] for container in containers if isinstance(container, dict) and "name" in container]


def _section(title: str, findings: list[Finding]) -> Iterator[str]:
    if not findings:
        return
    yield f"  {title}"
    for finding in findings:
        sign, colour = _SIGNS[finding.reason.kind]
        sentence = str(Finding(finding.reason, detail=finding.detail))
        yield f"    {click.style(sign, fg=colour)} {sentence} {click.style(f'[{finding.reason.value}]', dim=True)}"


def unified_diff(path: str, before: str, after: str) -> str:
    """Return the unified diff of two texts; empty if they are equal."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"{path} (current)", f"{path} (injected)"
    )
    return "".join(_coloured(line if line.endswith("\n") else f"{line}\n") for line in lines)


def _coloured(line: str) -> str:
    if line.startswith(("+++", "---")):
        return click.style(line, bold=True)
    colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[0])
    return click.style(line, fg=colour) if colour else line
