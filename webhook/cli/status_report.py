"""The output of `status`: a line per diagnostic, or JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import click

from webhook.drains.report import align, printable
from webhook.inspection.checks import Verdict
from webhook.inspection.diagnostics import Code, Diagnostic, Severity
from webhook.inspection.snapshot import Snapshot, State, WorkerPod
from webhook.kubernetes.api_client import NotPermitted

MOST_LINES = 4
"""Maximum number of lines of one kind; after these, only their number is shown."""
_SIGNS = {
    Severity.OK: ("ok", "green"),
    Severity.NOTE: ("note", "cyan"),
    Severity.ERROR: ("WRONG", "red"),
    Severity.UNKNOWN: ("?", "yellow"),
}


def text(snapshot: Snapshot, diagnostics: list[Diagnostic], verdict: Verdict) -> Iterator[str]:
    """Describe the state and what to do, in lines."""
    colour = {0: "green", 1: "red"}.get(verdict.exit_code, "yellow")
    context = f"{snapshot.names.context}: " if snapshot.names.context else ""
    yield f"{context}{click.style(verdict.sentence, fg=colour, bold=True)}"
    for code, group in groupby(diagnostics, key=lambda diagnostic: diagnostic.code):
        alike = list(group)
        # A fifth line takes no more room than "1 more".
        shown = alike if len(alike) <= MOST_LINES + 1 else alike[:MOST_LINES]
        for diagnostic in shown:
            yield from _lines(code, diagnostic.sentence, diagnostic.advice)
        if len(shown) < len(alike):
            yield from _lines(code, f"… and {len(alike) - len(shown)} more like these: use -o json to see all.", "")


def _lines(code: Code, sentence: str, advice: str) -> Iterator[str]:
    sign, colour = _SIGNS[code.severity]
    yield f"{click.style(sign.ljust(6), fg=colour)} {code.topic.ljust(14)} {printable(sentence)}"
    if advice:
        yield f"{' ' * 22}→ {printable(advice)}"


def pods_table(snapshot: Snapshot) -> Iterator[str]:
    """List the pods, one per line."""
    if isinstance(snapshot.pods, NotPermitted) or not snapshot.pods:
        return
    yield ""
    yield from align([("NAMESPACE", "POD", "STATE", "WORKERS", "VERSION"), *map(_row, snapshot.pods)])


def _row(pod: WorkerPod) -> tuple[str, str, str, str, str]:
    state = pod.state.value + (f", {pod.verdict.reason.value}" if pod.verdict else "")
    workers = printable(",".join(f"{name}={mode}" for name, mode in pod.workers.items()))
    return pod.namespace, pod.name, state + (", ending" if pod.ending else ""), workers or "-", pod.version or "-"


def as_json(snapshot: Snapshot, diagnostics: list[Diagnostic], verdict: Verdict, *, with_pods: bool) -> str:
    """Return everything as JSON: codes are stable, sentences are not."""
    pods = None if isinstance(snapshot.pods, NotPermitted) else snapshot.pods
    said: dict[str, Any] = {
        "context": snapshot.names.context,
        "verdict": verdict.value,
        "exitCode": verdict.exit_code,
        "findings": [
            {
                "code": each.code.value,
                "weight": each.code.severity.value,
                "topic": each.code.topic,
                "sentence": each.sentence,
                "advice": each.advice,
                "values": each.values,
            }
            for each in diagnostics
        ],
        "podsByState": None if pods is None else dict(Counter(pod.state.value for pod in pods)),
    }
    if with_pods:
        said["pods"] = None if pods is None else [_pod(pod) for pod in pods]
    return json.dumps(said, indent=2, ensure_ascii=False)


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
