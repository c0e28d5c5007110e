"""The output of `status`: a line per fact, or JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import click

from webhook.inspection.diagnostics import Diagnostic, DiagnosticCode, Severity
from webhook.inspection.snapshot import NotPermitted, Snapshot, State, WorkerPod
from webhook.inspection.verdict import Verdict

MOST_LINES = 4
"""Maximum number of lines of one kind; after these, only their number is shown."""
_SIGNS = {
    Severity.OK: ("ok", "green"),
    Severity.NOTE: ("note", "cyan"),
    Severity.ERROR: ("WRONG", "red"),
    Severity.UNKNOWN: ("?", "yellow"),
}


def text(snapshot: Snapshot, conclusions: list[Diagnostic], verdict: Verdict) -> Iterator[str]:
    """Describe the state and what to do, in lines."""
    colour = {0: "green", 1: "red"}.get(verdict.exit_code, "yellow")
    context = f"{snapshot.names.context}: " if snapshot.names.context else ""
    yield f"{context}{click.style(verdict.sentence, fg=colour, bold=True)}"
    for fact, group in groupby(conclusions, key=lambda conclusion: conclusion.fact):
        alike = list(group)
        # A fifth line takes no more room than "1 more".
        shown = alike if len(alike) <= MOST_LINES + 1 else alike[:MOST_LINES]
        for conclusion in shown:
            yield from _lines(fact, conclusion.sentence, conclusion.advice)
        if len(shown) < len(alike):
            yield from _lines(fact, f"… and {len(alike) - len(shown)} more like these: use -o json to see all.", "")


def _lines(fact: DiagnosticCode, sentence: str, advice: str) -> Iterator[str]:
    sign, colour = _SIGNS[fact.weight]
    yield f"{click.style(sign.ljust(6), fg=colour)} {fact.topic.ljust(14)} {sentence}"
    if advice:
        yield f"{' ' * 22}→ {advice}"


def pods_table(snapshot: Snapshot) -> Iterator[str]:
    """List the pods, one per line."""
    if isinstance(snapshot.pods, NotPermitted) or not snapshot.pods:
        return
    yield ""
    rows = [("NAMESPACE", "POD", "STATE", "WORKERS", "VERSION"), *map(_row, snapshot.pods)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(pod: WorkerPod) -> tuple[str, str, str, str, str]:
    state = pod.state.value + (f", {pod.verdict.reason.value}" if pod.verdict else "")
    workers = ",".join(f"{name}={mode}" for name, mode in pod.workers.items())
    return pod.namespace, pod.name, state + (", ending" if pod.ending else ""), workers or "-", pod.version or "-"


def as_json(snapshot: Snapshot, conclusions: list[Diagnostic], verdict: Verdict, *, with_pods: bool) -> str:
    """Return everything as JSON: codes are stable, sentences are not."""
    pods = None if isinstance(snapshot.pods, NotPermitted) else snapshot.pods
    said: dict[str, Any] = {
        "context": snapshot.names.context,
        "verdict": verdict.value,
        "exitCode": verdict.exit_code,
        "findings": [_finding(conclusion) for conclusion in conclusions],
        "podsByState": None if pods is None else dict(Counter(pod.state.value for pod in pods)),
    }
    if with_pods:
        said["pods"] = None if pods is None else [_pod(pod) for pod in pods]
    return json.dumps(said, indent=2, ensure_ascii=False)


def _finding(conclusion: Diagnostic) -> dict[str, Any]:
    fact = conclusion.fact
    return {
        "code": fact.value,
        "weight": fact.weight.value,
        "topic": fact.topic,
        "sentence": conclusion.sentence,
        "advice": conclusion.advice,
        "values": conclusion.values,
    }


def _pod(pod: WorkerPod) -> dict[str, Any]:
    return {
        "namespace": pod.namespace,
        "name": pod.name,
        "owner": str(pod.owner),
        "state": pod.state.value,
        "reason": pod.verdict.reason.value if pod.verdict else "",
        "workers": pod.workers,
        "version": pod.version,
        "node": pod.node,
        "gracePeriodSeconds": pod.grace if pod.state is State.PROTECTED else None,
        "ending": pod.ending,
    }
