"""The output of `repair`: what it would do or has done, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click

from webhook.inspection.pluralize import pluralize
from webhook.repair.damage import Damage
from webhook.repair.hindrances import Obstacle
from webhook.repair.plan import Plan, Wait
from webhook.repair.results import Outcome, Result

_INDENT = 9


def restart_command(damage: Damage) -> str:
    """Return the equivalent kubectl command."""
    return f"kubectl -n {damage.owner.namespace} rollout restart {damage.owner.argument}"


def exit_code(plan: Plan, wait: Wait | None, results: Sequence[Result]) -> int:
    """Return 0 if nothing is left to repair, 1 if something is, 2 if that is unknown."""
    is_blind = any(each.hindrance.obstacle is Obstacle.UNSEEN for each in plan.by_hand)
    if is_blind or (wait and wait.exit_code == 2):
        return 2
    repaired = [result for result in results if result.outcome.is_good]
    return 0 if len(repaired) == len(plan.restarts) and not plan.by_hand else 1


def plan_text(context: str, plan: Plan, wait: Wait | None, *, is_dry: bool) -> Iterator[str]:
    """Describe what would be done, and what has to be done by hand."""
    if wait:
        yield _headline(context, wait.sentence, "red" if wait.exit_code == 1 else "yellow")
        yield f"{' ' * _INDENT}→ {wait.advice}"
    yield _headline("" if wait else context, _intention(plan, wait, is_dry=is_dry))
    for damage in plan.restarts:
        yield from _lines("restart", "cyan", f"{damage.owner}: {damage}.", restart_command(damage) if is_dry else "")
    for each in plan.by_hand:
        sentence = f"{each.damage.owner}: {each.damage}. {each.hindrance.sentence}"
        yield from _lines("by hand", "yellow", sentence, each.hindrance.advice)


def _headline(context: str, sentence: str, colour: str | None = None) -> str:
    return (f"{context}: " if context else "") + click.style(sentence, fg=colour, bold=True)


def _intention(plan: Plan, wait: Wait | None, *, is_dry: bool) -> str:
    if not plan.restarts and not plan.by_hand:
        return "Nothing to repair was found." if wait else "Nothing to repair."
    if not plan.restarts:
        return f"Nothing to restart; {pluralize(len(plan.by_hand), 'owner')} to fix by hand."
    by_hand = f", {len(plan.by_hand)} to fix by hand" if plan.by_hand else ""
    said = f"{pluralize(len(plan.restarts), 'owner')} to restart{by_hand}."
    if wait:
        return f"{said} Nothing is restarted until that is fixed."
    return f"{said} Nothing has been changed; to restart them one by one, add --yes." if is_dry else said


def result_text(result: Result) -> Iterator[str]:
    """Describe the result of a restart."""
    good = result.outcome.is_good
    sign = "ok" if good else "STOP" if result.outcome.stops else "left"
    colour = "green" if good else "red" if result.outcome.stops else "yellow"
    yield from _lines(sign, colour, f"{result.damage.owner}: {result.sentence}", result.advice)


def summary(plan: Plan, results: Sequence[Result]) -> Iterator[str]:
    """Summarise what was done and what was not."""
    repaired = sum(result.outcome.is_good for result in results)
    begun = {result.damage.owner for result in results}
    # The others were reported when they ended.
    for result in results:
        if result.outcome is Outcome.NOT_AWAITED:
            yield from result_text(result)
    for damage in plan.restarts:
        if damage.owner not in begun:
            yield from _lines("left", "yellow", f"{damage.owner}: not started.", "")
    by_hand = f" {len(plan.by_hand)} more to fix by hand." if plan.by_hand else ""
    yield click.style(f"{repaired} of {pluralize(len(plan.restarts), 'owner')} repaired.{by_hand}", bold=True)


def _lines(sign: str, colour: str, sentence: str, advice: str) -> Iterator[str]:
    yield f"{click.style(sign.ljust(_INDENT), fg=colour)}{sentence}"
    if advice:
        yield f"{' ' * _INDENT}→ {advice}"


def as_json(context: str, plan: Plan, wait: Wait | None, results: Sequence[Result] | None, code: int) -> str:
    """Return everything as JSON: codes are stable, sentences are not; `results` is null for a dry run."""
    said: dict[str, Any] = {
        "context": context,
        "exitCode": code,
        "wait": {"sentence": wait.sentence, "advice": wait.advice} if wait else None,
        "restart": [{**_damage(each), "command": restart_command(each)} for each in plan.restarts],
        "byHand": [
            {
                **_damage(each.damage),
                "code": each.hindrance.obstacle.value,
                "sentence": each.hindrance.sentence,
                "advice": each.hindrance.advice,
            }
            for each in plan.by_hand
        ],
        "results": None if results is None else _results(plan, results),
    }
    return json.dumps(said, indent=2, ensure_ascii=False)


def _damage(damage: Damage) -> dict[str, Any]:
    return {
        "namespace": damage.owner.namespace,
        "kind": damage.owner.kind,
        "name": damage.owner.name,
        "unprotected": damage.unprotected,
        "older": damage.older,
        "versions": damage.versions,
    }


def _results(plan: Plan, results: Sequence[Result]) -> list[dict[str, Any]]:
    by_owner = {result.damage.owner: result for result in results}
    return [_result(damage, by_owner.get(damage.owner)) for damage in plan.restarts]


def _result(damage: Damage, result: Result | None) -> dict[str, Any]:
    owner = {"namespace": damage.owner.namespace, "kind": damage.owner.kind, "name": damage.owner.name}
    if result is None:
        return {**owner, "code": "not-begun", "sentence": "not started.", "advice": "", "values": {}}
    said = {"code": result.outcome.value, "sentence": result.sentence, "advice": result.advice}
    return {**owner, **said, "values": result.values}
