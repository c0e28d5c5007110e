"""What follows from how drains went: notes, and what to do about grace periods."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator

from webhook.drains.outcome import Outcome
from webhook.history.advice import Advice, advise
from webhook.history.records import DrainRecord, History, KilledCount
from webhook.history.report import owner_text, summary_sentence
from webhook.inspection.drain_limits import TABLE
from webhook.inspection.facts import Conclusion, Fact
from webhook.inspection.observations import Limits, NoHistory, Observations
from webhook.inspection.words import counted

_LIMITS = {limit.id: limit for limit in TABLE.limit}


def about_history(seen: Observations, now: datetime.datetime) -> Iterator[Conclusion]:
    """Conclude what the drains that are over say about grace periods."""
    history = seen.history
    if isinstance(history, NoHistory):
        yield Conclusion(Fact.HISTORY_UNKNOWN, {"why": history.why})
    elif history is not None:
        yield _summary(history)
        for record in history.records:
            advice = advise(record, history.observed_for(now))
            if advice:
                yield _advised(record, advice, seen.limits)


def _summary(history: History) -> Conclusion:
    outcomes: Counter[Outcome] = Counter()
    for record in history.records:
        outcomes.update(record.outcomes)
    how = ", ".join(f"{outcomes[outcome]} {outcome.value}" for outcome in Outcome if outcomes[outcome])
    since = f"{history.since:%Y-%m-%d %H:%M} UTC" if history.since else "the watch started"
    values = {
        "count": counted(outcomes.total(), "drain"),
        "since": since,
        "how": f": {how}" if how else "",
        "outcomes": {outcome.value: number for outcome, number in outcomes.items()},
    }
    return Conclusion(Fact.HISTORY_SEEN, values)


def _advised(record: DrainRecord, advice: list[Advice], limits: Limits | None) -> Conclusion:
    suspects = list(dict.fromkeys(each for kill in record.kills for each in _suspects(kill, limits)))
    values = {
        "namespace": record.workload.namespace,
        "owner": owner_text(record),
        "says": ". ".join([summary_sentence(record), *suspects]),
        "advice": [each.id for each in advice],
        "gracePeriod": next((each.grace for each in advice if each.grace), ""),
        "todo": "; ".join(each.text for each in advice),
    }
    return Conclusion(Fact.HISTORY_ADVICE, values)


def _suspects(kill: KilledCount, limits: Limits | None) -> Iterator[str]:
    """Name what gives pods just the time after which they were cut: the pods themselves do not tell who has asked."""
    if kill.outcome is not Outcome.CUT or limits is None:
        return
    for bound in limits.bounds:
        limit = _LIMITS[bound.limit]
        if limit.guarded == (kill.cause == "eviction") and kill.after in [seconds for _, seconds in bound.periods]:
            yield f"{limit.says.format(time=f'{kill.after} s')} ({bound.place})"
