"""Checks how drains ended: notes, and what to do about grace periods."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator

from webhook.core.formatting import pluralize
from webhook.drains.outcome import Outcome
from webhook.history.advice import Advice, advise
from webhook.history.records import DrainRecord, History, KilledCount
from webhook.history.report import owner_text, summary_sentence
from webhook.inspection.diagnostics import Code, Diagnostic
from webhook.inspection.drain_limits import LIMITS
from webhook.inspection.snapshot import DrainLimits, HistoryUnavailable, Snapshot


def check_drain_history(snapshot: Snapshot, now: datetime.datetime) -> Iterator[Diagnostic]:
    """Check what the drains that are over say about grace periods."""
    history = snapshot.history
    if isinstance(history, HistoryUnavailable):
        yield Diagnostic(Code.HISTORY_UNKNOWN, {"why": history.reason})
    elif history is not None:
        yield _summary(history)
        for record in history.records:
            if advice := advise(record, history.observed_for(now)):
                yield _advice_diagnostic(record, advice, snapshot.limits)


def _summary(history: History) -> Diagnostic:
    outcomes: Counter[Outcome] = Counter()
    for record in history.records:
        outcomes.update(record.outcomes)
    how = ", ".join(f"{outcomes[outcome]} {outcome.value}" for outcome in Outcome if outcomes[outcome])
    since = f"{history.since:%Y-%m-%d %H:%M} UTC" if history.since else "the watch started"
    values = {
        "count": pluralize(outcomes.total(), "drain"),
        "since": since,
        "how": f": {how}" if how else "",
        "outcomes": {outcome.value: number for outcome, number in outcomes.items()},
    }
    return Diagnostic(Code.HISTORY_SEEN, values)


def _advice_diagnostic(record: DrainRecord, advice: list[Advice], limits: DrainLimits | None) -> Diagnostic:
    causes = list(dict.fromkeys(each for kill in record.kills for each in _probable_causes(kill, limits)))
    values = {
        "namespace": record.workload.namespace,
        "owner": owner_text(record),
        "says": ". ".join([summary_sentence(record), *causes]),
        "advice": [each.id for each in advice],
        "gracePeriod": next((each.grace for each in advice if each.grace), ""),
        "todo": "; ".join(each.text for each in advice),
    }
    return Diagnostic(Code.HISTORY_ADVICE, values)


def _probable_causes(kill: KilledCount, limits: DrainLimits | None) -> Iterator[str]:
    """Name what gives pods just the time after which they were cut: pods do not show who deleted them."""
    if kill.outcome is not Outcome.CUT or limits is None:
        return
    for effective in limits.effective_limits:
        limit = LIMITS[effective.limit]
        if limit.guarded == (kill.cause == "eviction") and kill.after in [seconds for _, seconds in effective.periods]:
            yield f"{limit.says.format(time=f'{kill.after} s')} ({effective.place})"
