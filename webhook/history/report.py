"""What is printed of how drains went: a table, what follows for each owner, JSON."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any

from webhook.core.pluralize import pluralize
from webhook.drains.outcome import Outcome
from webhook.drains.report import printable, span
from webhook.drains.selection import written
from webhook.history.advice import Advice, advice_on, cause_in_words
from webhook.history.evidence import Evidence, History, Kill

HEAD = ("NAMESPACE", "OWNER", "WORKER", "DRAINS", "LONGEST", "GRACE PERIOD", "KILLED", "CUT", "OOM", "FAILED")
_IN_COLUMNS = (Outcome.KILLED, Outcome.CUT, Outcome.OOM, Outcome.FAILED)


def text_of(history: History, now: datetime.datetime) -> Iterator[str]:
    """Return the source, a table of the owners, and the advice."""
    yield f"{_source(history, now)}"
    yield from (f"Not known: {printable(each)}." for each in history.missing)
    if not history.evidence:
        yield "No drain is known."
        return
    yield ""
    yield from _table(history.evidence)
    said = [lines for each in history.evidence if (lines := list(_advice_lines(each, history, now)))]
    for lines in said:
        yield ""
        yield from lines


def _source(history: History, now: datetime.datetime) -> str:
    if history.source != "watch":
        return "From what the cluster still knows: containers that have ended in pods that are there, and Events."
    since = f"{history.since:%Y-%m-%d %H:%M} UTC" if history.since else "the watch started"
    counted_for = _counted_for(history, now)
    long = f" ({span_in_words(counted_for)})" if counted_for else ""
    return f"From the watch {printable(history.place)}, which counts since {since}{long}."


def span_in_words(time: datetime.timedelta) -> str:
    """Write a long time roughly: 12 days, 3 hours, 5 minutes."""
    for unit, noun in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if time.total_seconds() >= 2 * unit:
            return pluralize(int(time.total_seconds() // unit), noun)
    return pluralize(max(int(time.total_seconds()), 0), "second")


def _counted_for(history: History, now: datetime.datetime) -> datetime.timedelta | None:
    return now - history.since if history.since else None


def _table(evidence: Sequence[Evidence]) -> Iterator[str]:
    rows = [HEAD, *map(_row, evidence)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(evidence: Evidence) -> tuple[str, ...]:
    group = evidence.group
    mode = f"({group.mode})" if group.mode else ""
    return (
        printable(group.namespace),
        owner_in_words(evidence),
        printable(" ".join(filter(None, [group.framework, mode]))) or "-",
        str(evidence.drains),
        "-" if evidence.longest is None else span(round(evidence.longest)),
        "-" if evidence.grace is None else span(evidence.grace),
        *(str(evidence.outcomes.get(outcome, 0) or "-") for outcome in _IN_COLUMNS),
    )


def owner_in_words(evidence: Evidence) -> str:
    """Name the owner as kubectl takes it; of many that are counted together, and of pods without one, say so."""
    if evidence.owner:
        return printable(written(evidence.owner))
    return "pods without an owner" if evidence.group.owner_kind == "Pod" else "others"


def _advice_lines(evidence: Evidence, history: History, now: datetime.datetime) -> Iterator[str]:
    advice = advice_on(evidence, _counted_for(history, now))
    if not advice and not evidence.kills and evidence.longest_run is None:
        return
    yield f"{printable(evidence.group.namespace)} {owner_in_words(evidence)}: {sentence_of(evidence)}"
    yield from (f"  → {each.text}" for each in advice)


def sentence_of(evidence: Evidence) -> str:
    """Say what is known of the drains of an owner."""
    parts = []
    if evidence.longest is not None:
        of = "" if evidence.grace is None else f" of {evidence.grace} s"
        parts.append(f"longest drain of {evidence.timed}: {evidence.longest:.0f} s{of}")
    if evidence.longest_run is not None:
        parts.append(f"longest run: {evidence.longest_run:.0f} s")
    parts += map(_kill, evidence.kills)
    if count := evidence.outcomes.get(Outcome.OOM):
        parts.append(f"{_were(count)} out of memory")
    if count := evidence.outcomes.get(Outcome.UNSEEN):
        parts.append(f"how {count} ended was not seen")
    return "; ".join(parts)


def _kill(kill: Kill) -> str:
    after = "" if kill.after is None else f" at {kill.after} s"
    if kill.outcome is Outcome.KILLED:
        return f"{_were(kill.count)} killed{after}"
    by = f" by {cause_in_words(kill.cause)}" if kill.cause else ""
    return f"{_were(kill.count)} cut{after}{by}"


def _were(count: int) -> str:
    return f"{count} {'was' if count == 1 else 'were'}"


def as_object(history: History, now: datetime.datetime, context: str | None) -> dict[str, Any]:
    """Say it for scripts: codes do not change, sentences may."""
    return {
        "context": context,
        "source": {
            "kind": history.source,
            "place": history.place,
            "since": history.since.strftime("%Y-%m-%dT%H:%M:%SZ") if history.since else None,
        },
        "notKnown": list(history.missing),
        "history": [_object(each, advice_on(each, _counted_for(history, now))) for each in history.evidence],
    }


def _object(evidence: Evidence, advice: Sequence[Advice]) -> dict[str, Any]:
    group = evidence.group
    return {
        "namespace": group.namespace,
        "owner": {"kind": group.owner_kind, "name": group.owner},
        "framework": group.framework,
        "mode": group.mode,
        "drains": evidence.drains,
        "outcomes": {outcome.value: evidence.outcomes[outcome] for outcome in Outcome if outcome in evidence.outcomes},
        "timedDrains": evidence.timed,
        "longestSeconds": evidence.longest,
        "longestRunSeconds": evidence.longest_run,
        "gracePeriodSeconds": evidence.grace,
        "killed": [
            {"outcome": kill.outcome.value, "cause": kill.cause, "count": kill.count, "afterSeconds": kill.after}
            for kill in evidence.kills
        ],
        "advice": [{"code": each.id, "text": each.text, "gracePeriod": each.grace} for each in advice],
        "sentence": sentence_of(evidence),
    }
