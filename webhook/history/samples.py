"""What the metrics of a watch say of drains that are over."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator

import msgspec
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from webhook.drains.outcome import Outcome
from webhook.history.evidence import Evidence, History, Kill
from webhook.watch.statistics import KILLS
from webhook.watch.workloads import LABELS, Workload

_BUILD = "graceful_worker_watch_build_info"
_START = "graceful_worker_watch_start_time_seconds"
_ENDS = "graceful_worker_drains_total"
_TIMED = "graceful_worker_drain_seconds_count"
_LONGEST = "graceful_worker_drain_longest_seconds"
_IN_TIME = "graceful_worker_drain_longest_in_time_seconds"
_GRACE = "graceful_worker_drain_grace_period_seconds"
_KILLED_AFTER = "graceful_worker_drain_killed_after_seconds"
_NAMES = (_BUILD, _START, _ENDS, _TIMED, _LONGEST, _IN_TIME, _GRACE, _KILLED_AFTER)
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}


class NoMetrics(ValueError):
    """A text is none that a watch has written."""


class _Numbers(msgspec.Struct):
    """What is said of one group."""

    ends: dict[tuple[str, str], int] = {}
    values: dict[str, float] = {}
    killed_after: dict[tuple[str, str], float] = {}


def read_metrics(text: str, place: str) -> History:
    """Read the metrics of a watch; what is not about drains is passed over.

    Raises:
        NoMetrics: the text is not that.

    """
    try:
        return _read(text, place)
    except (ValueError, IndexError, OverflowError, OSError) as error:
        words = str(error) if isinstance(error, NoMetrics) else f"the metrics cannot be read: {error}"
        raise NoMetrics(words) from None


def _read(text: str, place: str) -> History:
    start: datetime.datetime | None = None
    numbers: dict[Workload, _Numbers] = {}
    is_watch = False
    for sample in _samples(text):
        match sample.name:
            case name if name == _BUILD:
                is_watch = True
            case name if name == _START:
                start = datetime.datetime.fromtimestamp(sample.value, datetime.UTC)
            case _ if workload := _group(sample):
                _note(numbers.setdefault(workload, _Numbers()), sample)
    if not is_watch:
        raise NoMetrics("these are not the metrics of graceful-worker watch")
    evidence = (_evidence(workload, each) for workload, each in sorted(numbers.items(), key=_order))
    return History("watch", place, start, tuple(each for each in evidence if sum(each.outcomes.values())))


def _samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families("\n".join(_lines(text.splitlines()))):
        yield from (sample for sample in family.samples if math.isfinite(sample.value))


def _lines(lines: Iterable[str]) -> Iterator[str]:
    """Leave out what is not read: reading a line takes a while, and most of them are zeros and buckets."""
    for line in lines:
        name = line.partition("{")[0].partition(" ")[0]
        if name in _NAMES and not line.endswith(" 0.0"):
            yield line
    # The parser wants an end of line behind the last one.
    yield ""


def _group(sample: Sample) -> Workload | None:
    values = [sample.labels.get(label) for label in LABELS]
    return None if None in values else Workload(*map(str, values))


def _order(item: tuple[Workload, _Numbers]) -> tuple[str, ...]:
    workload = item[0]
    return workload.namespace, workload.owner_kind, workload.owner, workload.framework, workload.mode


def _note(numbers: _Numbers, sample: Sample) -> None:
    key = sample.labels.get("outcome", ""), sample.labels.get("cause", "")
    if sample.name == _ENDS:
        numbers.ends[key] = numbers.ends.get(key, 0) + int(sample.value)
    elif sample.name == _KILLED_AFTER:
        numbers.killed_after[key] = sample.value
    else:
        numbers.values[sample.name] = sample.value


def _evidence(workload: Workload, numbers: _Numbers) -> Evidence:
    outcomes: dict[Outcome, int] = {}
    kills = []
    for (word, cause), count in sorted(numbers.ends.items()):
        outcome = _OUTCOMES.get(word)
        if outcome is None:
            continue
        outcomes[outcome] = outcomes.get(outcome, 0) + count
        if outcome in KILLS:
            after = numbers.killed_after.get((word, cause))
            kills.append(Kill(outcome, cause, count, None if after is None else round(after)))
    values = numbers.values
    grace = values.get(_GRACE)
    return Evidence(
        workload,
        outcomes,
        timed=round(values.get(_TIMED, 0)),
        longest=values.get(_IN_TIME, values.get(_LONGEST)),
        grace=None if grace is None else round(grace),
        kills=tuple(kills),
    )
