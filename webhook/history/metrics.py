"""Reads past drains from the metrics of a watch."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterator

import msgspec
from msgspec.structs import astuple
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from webhook.drains.outcome import Outcome
from webhook.history.errors import InvalidMetrics
from webhook.history.records import DrainRecord, History, KilledCount
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
_METRIC_NAMES = (_BUILD, _START, _ENDS, _TIMED, _LONGEST, _IN_TIME, _GRACE, _KILLED_AFTER)
_NAME_END = re.compile("[{ ]")
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}


class _WorkloadSamples(msgspec.Struct):
    """The samples of one workload."""

    ends: dict[tuple[str, str], int] = {}
    values: dict[str, float] = {}
    killed_after: dict[tuple[str, str], float] = {}


def read_metrics(text: str, place: str) -> History:
    """Read the metrics of a watch; others than those of drains are ignored.

    Raises:
        InvalidMetrics: a watch has not written them.

    """
    try:
        return _read(text, place)
    except (ValueError, IndexError, OverflowError, OSError) as error:
        message = str(error) if isinstance(error, InvalidMetrics) else f"the metrics cannot be read: {error}"
        raise InvalidMetrics(message) from None


def _read(text: str, place: str) -> History:
    start: datetime.datetime | None = None
    samples: dict[Workload, _WorkloadSamples] = {}
    has_build_info = False
    for sample in _samples(text):
        if sample.name == _BUILD:
            has_build_info = True
        elif sample.name == _START:
            start = datetime.datetime.fromtimestamp(sample.value, datetime.UTC)
        elif workload := _workload(sample):
            _add_sample(samples.setdefault(workload, _WorkloadSamples()), sample)
    if not has_build_info:
        raise InvalidMetrics("these are not the metrics of graceful-worker watch")
    records = (_record(workload, samples[workload]) for workload in sorted(samples, key=astuple))
    return History("watch", place, start, tuple(each for each in records if sum(each.outcomes.values())))


def _samples(text: str) -> Iterator[Sample]:
    # Parsing a line takes a while, and most of them are zeros and buckets.
    needed = (each for each in text.splitlines() if _NAME_END.split(each, maxsplit=1)[0] in _METRIC_NAMES)
    lines = [each for each in needed if not each.endswith(" 0.0")]
    # The parser needs a line feed after the last line.
    for family in text_string_to_metric_families("\n".join([*lines, ""])):
        yield from (sample for sample in family.samples if math.isfinite(sample.value))


def _workload(sample: Sample) -> Workload | None:
    values = [sample.labels.get(label) for label in LABELS]
    return None if None in values else Workload(*map(str, values))


def _add_sample(samples: _WorkloadSamples, sample: Sample) -> None:
    key = sample.labels.get("outcome", ""), sample.labels.get("cause", "")
    if sample.name == _ENDS:
        samples.ends[key] = samples.ends.get(key, 0) + int(sample.value)
    elif sample.name == _KILLED_AFTER:
        samples.killed_after[key] = sample.value
    else:
        samples.values[sample.name] = sample.value


def _record(workload: Workload, samples: _WorkloadSamples) -> DrainRecord:
    outcomes: dict[Outcome, int] = {}
    kills = []
    for (code, cause), count in sorted(samples.ends.items()):
        outcome = _OUTCOMES.get(code)
        if outcome is None:
            continue
        outcomes[outcome] = outcomes.get(outcome, 0) + count
        if outcome in KILLS:
            after = samples.killed_after.get((code, cause))
            kills.append(KilledCount(outcome, cause, count, None if after is None else round(after)))
    values = samples.values
    grace = values.get(_GRACE)
    return DrainRecord(
        workload,
        outcomes,
        timed=round(values.get(_TIMED, 0)),
        longest=values.get(_IN_TIME, values.get(_LONGEST)),
        grace=None if grace is None else round(grace),
        kills=tuple(kills),
    )
