"""Advice on the grace period of a workload, from its past drains: advice.toml has the numbers and the text."""

from __future__ import annotations

import datetime

import msgspec

from webhook.core.annotations import LONGEST_DURATION, duration
from webhook.core.tables import load_table
from webhook.drains.outcome import UNSUCCESSFUL, Outcome
from webhook.history.records import DrainRecord, KilledCount


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table; advice.toml explains the fields."""

    id: str
    text: str
    outcome: Outcome | None = None
    causes: tuple[str, ...] = ()
    min_drains: int = 1
    min_hours: float = 0
    all_drains: bool = False
    is_sufficient: bool = False
    used_above: float | None = None
    used_below: float | None = None


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of advice.toml."""

    margin: float
    steps: tuple[str, ...]
    causes: dict[str, str]
    advice: tuple[Rule, ...]


TABLE = load_table(__name__, "advice.toml", Table)


class Advice(msgspec.Struct, frozen=True):
    """What to do, for people and scripts; `grace` is an annotation's value, empty where none is suggested."""

    id: str
    text: str
    grace: str = ""


def advise(record: DrainRecord, observed_for: datetime.timedelta | None) -> list[Advice]:
    """Return the advice, without repetition; empty if all is well, or little is known."""
    losses: list[KilledCount | None] = [*record.kills]
    if count := record.outcomes.get(Outcome.OOM):
        losses.append(KilledCount(Outcome.OOM, "", count))
    found = (_first_match(record, loss, observed_for) for loss in [*losses, None])
    return list(dict.fromkeys(advice for advice in found if advice))


def cause_text(cause: str) -> str:
    """Say what cut a drain short."""
    return TABLE.causes.get(cause, "something that its pods do not tell")


def _first_match(
    record: DrainRecord, loss: KilledCount | None, observed_for: datetime.timedelta | None
) -> Advice | None:
    longest = max(record.longest or 0, (loss.after or 0) if loss else 0)
    suggested = suggest_grace_period(longest)
    rule = next((each for each in TABLE.advice if _matches(each, record, loss, suggested, observed_for)), None)
    if rule is None:
        return None
    after = "?" if loss is None or loss.after is None else loss.after
    grace = "?" if record.grace is None else record.grace
    text = rule.text.format(grace=grace, after=after, suggested=suggested, drains=record.timed)
    return Advice(rule.id, text, suggested if "{suggested}" in rule.text else "")


def _matches(
    rule: Rule, record: DrainRecord, loss: KilledCount | None, suggested: str, observed_for: datetime.timedelta | None
) -> bool:
    if rule.outcome is not (loss.outcome if loss else None):
        return False
    if rule.min_hours and (observed_for is None or observed_for < datetime.timedelta(hours=rule.min_hours)):
        return False
    if loss is None:
        return record.timed >= rule.min_drains and _matches_usage(rule, record, suggested)
    if rule.causes and loss.cause not in rule.causes:
        return False
    count = record.outcomes.get(loss.outcome, 0)
    if count < rule.min_drains or (rule.all_drains and (observed_for is None or count < record.drains)):
        return False
    if "{suggested}" in rule.text and loss.after is None:
        return False
    return not rule.is_sufficient or (loss.after is not None and (record.grace or 0) >= duration(suggested))


def _matches_usage(rule: Rule, record: DrainRecord, suggested: str) -> bool:
    if not record.grace or record.longest is None:
        return False
    used = record.longest / record.grace
    if rule.used_above is not None:
        # Killed workers have their own advice.
        is_killed = Outcome.KILLED in record.outcomes
        return used > rule.used_above and not is_killed and duration(suggested) > record.grace
    if rule.used_below is not None:
        is_safe = not UNSUCCESSFUL & record.outcomes.keys()
        return used < rule.used_below and is_safe and 2 * duration(suggested) <= record.grace
    return False


def suggest_grace_period(longest: float) -> str:
    """Return a grace period, as an annotation takes it, with a margin above the longest drain."""
    minimum = min(longest * TABLE.margin, LONGEST_DURATION)
    return next(step for step in TABLE.steps if duration(step) >= minimum)
