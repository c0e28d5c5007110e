"""The output of `repair`: what it would do or has done, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click
from msgspec.structs import asdict

from webhook.core.formatting import pluralize
from webhook.drains.report import printable
from webhook.inspection.diagnostics import Code
from webhook.repair.blockers import BlockerCode
from webhook.repair.candidates import RestartCandidate
from webhook.repair.plan import Plan, UnmetPrecondition
from webhook.repair.results import Outcome, Result

_INDENT = 9


def restart_command(candidate: RestartCandidate) -> str:
    """Return the equivalent kubectl command."""
    return f"kubectl -n {candidate.workload.namespace} rollout restart {candidate.workload.argument}"


def exit_code(plan: Plan, unmet: UnmetPrecondition | None, results: Sequence[Result]) -> int:
    """Return 0 if nothing is left to repair, 1 if something is, 2 if that is unknown."""
    is_unknown = any(each.code is BlockerCode.NOT_PERMITTED for each in plan.blocked)
    if is_unknown or (unmet and unmet.exit_code == 2):
        return 2
    repaired = [result for result in results if result.outcome.is_success]
    return 0 if len(repaired) == len(plan.restarts) and not plan.blocked else 1


def plan_text(context: str, plan: Plan, unmet: UnmetPrecondition | None, *, is_dry: bool) -> Iterator[str]:
    """Describe what would be done, and what has to be done by hand."""
    if unmet:
        yield _headline(context, unmet.sentence, "red" if unmet.exit_code == 1 else "yellow")
        yield f"{' ' * _INDENT}→ {unmet.advice}"
    yield _headline("" if unmet else context, _intention(plan, unmet, is_dry=is_dry))
    if not plan.version and not unmet:
        yield from _lines("note", "cyan", Code.VERSION_UNKNOWN.sentence, Code.VERSION_UNKNOWN.advice)
    for candidate in plan.restarts:
        yield from _lines(
            "restart", "cyan", f"{candidate.workload}: {candidate}.", restart_command(candidate) if is_dry else ""
        )
    for each in plan.blocked:
        sentence = f"{each.candidate.workload}: {each.candidate}. {each.sentence}"
        yield from _lines("by hand", "yellow", sentence, each.advice)


def _headline(context: str, sentence: str, colour: str | None = None) -> str:
    return (f"{context}: " if context else "") + click.style(sentence, fg=colour, bold=True)


def _intention(plan: Plan, unmet: UnmetPrecondition | None, *, is_dry: bool) -> str:
    if not plan.restarts and not plan.blocked:
        return "Nothing to repair was found." if unmet else "Nothing to repair."
    if not plan.restarts:
        return f"Nothing to restart; {pluralize(len(plan.blocked), 'owner')} to fix by hand."
    blocked = f", {len(plan.blocked)} to fix by hand" if plan.blocked else ""
    document = f"{pluralize(len(plan.restarts), 'owner')} to restart{blocked}."
    if unmet:
        return f"{document} Nothing is restarted until that is fixed."
    return f"{document} Nothing has been changed; to restart them one by one, add --yes." if is_dry else document


def result_text(result: Result) -> Iterator[str]:
    """Describe the result of a restart."""
    is_success = result.outcome.is_success
    sign = "ok" if is_success else "STOP" if result.outcome.stops else "left"
    colour = "green" if is_success else "red" if result.outcome.stops else "yellow"
    yield from _lines(sign, colour, f"{result.candidate.workload}: {result.sentence}", result.advice)


def summary(plan: Plan, results: Sequence[Result]) -> Iterator[str]:
    """Summarise what was done and what was not."""
    repaired = sum(result.outcome.is_success for result in results)
    begun = {result.candidate.workload for result in results}
    # The others were reported when they ended.
    for result in results:
        if result.outcome is Outcome.NOT_AWAITED:
            yield from result_text(result)
    for candidate in plan.restarts:
        if candidate.workload not in begun:
            yield from _lines("left", "yellow", f"{candidate.workload}: not started.", "")
    blocked = f" {len(plan.blocked)} more to fix by hand." if plan.blocked else ""
    yield click.style(f"{repaired} of {pluralize(len(plan.restarts), 'owner')} repaired.{blocked}", bold=True)


def _lines(sign: str, colour: str, sentence: str, advice: str) -> Iterator[str]:
    yield f"{click.style(sign.ljust(_INDENT), fg=colour)}{printable(sentence)}"
    if advice:
        yield f"{' ' * _INDENT}→ {printable(advice)}"


def as_json(
    context: str, plan: Plan, unmet: UnmetPrecondition | None, results: Sequence[Result] | None, code: int
) -> str:
    """Return everything as JSON: codes are stable, sentences are not; `results` is null for a dry run."""
    document: dict[str, Any] = {
        "context": context,
        "exitCode": code,
        "version": plan.version or None,
        "wait": {"sentence": unmet.sentence, "advice": unmet.advice} if unmet else None,
        "restart": [{**_candidate(each), "command": restart_command(each)} for each in plan.restarts],
        "byHand": [
            {**_candidate(each.candidate), "code": each.code.value, "sentence": each.sentence, "advice": each.advice}
            for each in plan.blocked
        ],
        "results": None if results is None else _results(plan, results),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _candidate(candidate: RestartCandidate) -> dict[str, Any]:
    pods = {"unprotected": candidate.unprotected, "older": candidate.older, "versions": candidate.versions}
    return {**asdict(candidate.workload), **pods}


def _results(plan: Plan, results: Sequence[Result]) -> list[dict[str, Any]]:
    by_workload = {result.candidate.workload: result for result in results}
    return [_result(candidate, by_workload.get(candidate.workload)) for candidate in plan.restarts]


def _result(candidate: RestartCandidate, result: Result | None) -> dict[str, Any]:
    workload = asdict(candidate.workload)
    if result is None:
        return {**workload, "code": "not-begun", "sentence": "not started.", "advice": "", "values": {}}
    document = {"code": result.outcome.value, "sentence": result.sentence, "advice": result.advice}
    return {**workload, **document, "values": result.values}
