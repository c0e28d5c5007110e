"""The output of `drains --history`: a table, advice for each workload, JSON."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any

from webhook.drains.durations import approximate_duration, format_duration
from webhook.drains.outcome import Outcome
from webhook.drains.report import align, printable, worker_text
from webhook.drains.targets import kubectl_name
from webhook.history.advice import Advice, advise, cause_text
from webhook.history.records import DrainRecord, History, KilledCount

HEADER = ("NAMESPACE", "OWNER", "WORKER", "DRAINS", "LONGEST", "GRACE PERIOD", "KILLED", "CUT", "OOM", "FAILED")
_OUTCOME_COLUMNS = (Outcome.KILLED, Outcome.CUT, Outcome.OOM, Outcome.FAILED)


def format_history(history: History, now: datetime.datetime) -> Iterator[str]:
    """Return the source, a table of the workloads, and the advice."""
    yield _source_line(history, now)
    yield from (f"Not known: {printable(each)}." for each in history.missing)
    if not history.records:
        yield "No drain is known."
        return
    yield ""
    yield from align([HEADER, *map(_row, history.records)])
    for each in history.records:
        if lines := list(_advice_lines(each, history, now)):
            yield ""
            yield from lines


def _source_line(history: History, now: datetime.datetime) -> str:
    if history.source != "watch":
        return "From what the cluster still knows: containers that have ended in pods that are there, and Events."
    since = f"{history.since:%Y-%m-%d %H:%M} UTC" if history.since else "the watch started"
    observed_for = history.observed_for(now)
    long = f" ({approximate_duration(observed_for)})" if observed_for else ""
    return f"From the watch {printable(history.place)}, which counts since {since}{long}."


def _row(record: DrainRecord) -> tuple[str, ...]:
    workload = record.workload
    return (
        printable(workload.namespace),
        owner_text(record),
        worker_text(workload.framework, workload.mode),
        str(record.drains),
        "-" if record.longest is None else format_duration(round(record.longest)),
        "-" if record.grace is None else format_duration(record.grace),
        *(str(record.outcomes.get(outcome, 0) or "-") for outcome in _OUTCOME_COLUMNS),
    )


def owner_text(record: DrainRecord) -> str:
    """Name the owner as kubectl does; the pods may have no owner, or several that are counted together."""
    if record.owner:
        return printable(kubectl_name(record.owner))
    return "pods without an owner" if record.workload.owner_kind == "Pod" else "others"


def _advice_lines(record: DrainRecord, history: History, now: datetime.datetime) -> Iterator[str]:
    advice = advise(record, history.observed_for(now))
    if not advice and not record.kills and record.longest_run is None:
        return
    yield f"{printable(record.workload.namespace)} {owner_text(record)}: {summary_sentence(record)}"
    yield from (f"  → {each.text}" for each in advice)


def summary_sentence(record: DrainRecord) -> str:
    """Return what is known of a workload's drains, in a sentence."""
    parts = []
    if record.longest is not None:
        of = "" if record.grace is None else f" of {record.grace} s"
        parts.append(f"longest drain of {record.timed}: {record.longest:.0f} s{of}")
    if record.longest_run is not None:
        parts.append(f"longest run: {record.longest_run:.0f} s")
    parts += map(_kill_text, record.kills)
    if count := record.outcomes.get(Outcome.OOM):
        parts.append(f"{_count_with_verb(count)} out of memory")
    if count := record.outcomes.get(Outcome.UNSEEN):
        parts.append(f"how {count} ended was not seen")
    return "; ".join(parts)


def _kill_text(kill: KilledCount) -> str:
    after = "" if kill.after is None else f" at {kill.after} s"
    if kill.outcome is Outcome.KILLED:
        return f"{_count_with_verb(kill.count)} killed{after}"
    by = f" by {cause_text(kill.cause)}" if kill.cause else ""
    return f"{_count_with_verb(kill.count)} cut{after}{by}"


def _count_with_verb(count: int) -> str:
    return f"{count} {'was' if count == 1 else 'were'}"


def as_object(history: History, now: datetime.datetime, context: str | None) -> dict[str, Any]:
    """Return the history as JSON: codes are stable, sentences are not."""
    return {
        "context": context,
        "source": {
            "kind": history.source,
            "place": history.place,
            "since": history.since.strftime("%Y-%m-%dT%H:%M:%SZ") if history.since else None,
        },
        "notKnown": list(history.missing),
        "history": [_object(each, advise(each, history.observed_for(now))) for each in history.records],
    }


def _object(record: DrainRecord, advice: Sequence[Advice]) -> dict[str, Any]:
    workload = record.workload
    return {
        "namespace": workload.namespace,
        "owner": {"kind": workload.owner_kind, "name": workload.owner},
        "framework": workload.framework,
        "mode": workload.mode,
        "drains": record.drains,
        "outcomes": {outcome.value: record.outcomes[outcome] for outcome in Outcome if outcome in record.outcomes},
        "timedDrains": record.timed,
        "longestSeconds": record.longest,
        "longestRunSeconds": record.longest_run,
        "gracePeriodSeconds": record.grace,
        "killed": [
            {"outcome": kill.outcome.value, "cause": kill.cause, "count": kill.count, "afterSeconds": kill.after}
            for kill in record.kills
        ],
        "advice": [{"code": each.id, "text": each.text, "gracePeriod": each.grace} for each in advice],
        "sentence": summary_sentence(record),
    }
