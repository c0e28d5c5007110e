"""What follows from the drains of an owner for its grace period: advice.toml has the numbers and the words."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from importlib.resources import files

import msgspec

from webhook.core.annotations import LONGEST_DURATION, duration
from webhook.drains.outcome import LOST, Outcome
from webhook.history.evidence import Evidence, Kill

_UNFINISHED = LOST | {Outcome.FAILED}


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table; advice.toml says what the fields mean."""

    id: str
    text: str
    outcome: Outcome | None = None
    causes: tuple[str, ...] = ()
    fewest: int = 1
    hours: float = 0
    all: bool = False
    enough: bool = False
    above: float | None = None
    below: float | None = None


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    margin: float
    steps: tuple[str, ...]
    causes: dict[str, str]
    advice: tuple[Rule, ...]


TABLE = msgspec.toml.decode(files(__package__).joinpath("advice.toml").read_bytes(), type=Table)


class Advice(msgspec.Struct, frozen=True):
    """What to do, for people and scripts; `grace` is an annotation's value, empty where none is suggested."""

    id: str
    text: str
    grace: str = ""


def advice_on(evidence: Evidence, counted_for: datetime.timedelta | None) -> list[Advice]:
    """Return the advice, without repetition; empty if all is well, or little is known."""
    found = []
    for loss in _losses(evidence):
        found += _first(evidence, loss, counted_for)
    found += _first(evidence, None, counted_for)
    return list(dict.fromkeys(found))


def cause_in_words(cause: str) -> str:
    """Say by what a drain was cut short."""
    return TABLE.causes.get(cause, "something that its pods do not tell")


def _losses(evidence: Evidence) -> Iterator[Kill]:
    yield from evidence.kills
    if count := evidence.outcomes.get(Outcome.OOM):
        yield Kill(Outcome.OOM, "", count)


def _first(evidence: Evidence, loss: Kill | None, counted_for: datetime.timedelta | None) -> list[Advice]:
    longest = max(evidence.longest or 0, (loss.after or 0) if loss else 0)
    suggested = suggestion(longest)
    rule = next((each for each in TABLE.advice if _fits(each, evidence, loss, suggested, counted_for)), None)
    if rule is None:
        return []
    after = "?" if loss is None or loss.after is None else loss.after
    grace = "?" if evidence.grace is None else evidence.grace
    text = rule.text.format(grace=grace, after=after, suggested=suggested, drains=evidence.timed)
    return [Advice(rule.id, text, suggested if "{suggested}" in rule.text else "")]


def _fits(
    rule: Rule, evidence: Evidence, loss: Kill | None, suggested: str, counted_for: datetime.timedelta | None
) -> bool:
    if rule.outcome is not (loss.outcome if loss else None) or not _lasted(rule, counted_for):
        return False
    if loss is None:
        return evidence.timed >= rule.fewest and _uses(rule, evidence, suggested)
    if rule.causes and loss.cause not in rule.causes:
        return False
    count = evidence.outcomes.get(loss.outcome, 0)
    if count < rule.fewest or (rule.all and (counted_for is None or count < evidence.drains)):
        return False
    if "{suggested}" in rule.text and loss.after is None:
        return False
    return not rule.enough or (loss.after is not None and (evidence.grace or 0) >= duration(suggested))


def _lasted(rule: Rule, counted_for: datetime.timedelta | None) -> bool:
    return not rule.hours or (counted_for is not None and counted_for >= datetime.timedelta(hours=rule.hours))


def _uses(rule: Rule, evidence: Evidence, suggested: str) -> bool:
    if not evidence.grace or evidence.longest is None:
        return False
    used = evidence.longest / evidence.grace
    if rule.above is not None:
        # Killed workers have their own advice.
        is_killed = Outcome.KILLED in evidence.outcomes
        return used > rule.above and not is_killed and duration(suggested) > evidence.grace
    if rule.below is not None:
        is_safe = not _UNFINISHED & evidence.outcomes.keys()
        return used < rule.below and is_safe and 2 * duration(suggested) <= evidence.grace
    return False


def suggestion(longest: float) -> str:
    """Return a grace period, as an annotation takes it, that leaves room above the longest time that was seen."""
    wanted = min(longest * TABLE.margin, LONGEST_DURATION)
    return next(step for step in TABLE.steps if duration(step) >= wanted)
