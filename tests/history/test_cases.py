"""What follows from the drains of owners: each case is a file, and together they show all that can be advised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.drains.pods import START
from tests.history.cases import (
    PLACE,
    case,
    cluster,
    exposition,
    files,
    printed,
    printed_of_metrics,
    printed_of_stream,
)
from tests.watch.scene import Scene, describe_event
from tests.watch.test_handlers import STREAMS as WATCHED
from webhook.core.annotations import duration
from webhook.drains.tracker import CAUSES
from webhook.history.advice import TABLE, suggest_grace_period
from webhook.history.errors import InvalidMetrics
from webhook.history.metrics import read_metrics
from webhook.history.pods_and_events import combine, read_event_record
from webhook.history.report import as_object
from webhook.watch.event_writer import event_object

STREAMS, CLUSTERS, METRICS = files("streams"), files("clusters"), files("metrics", "*.prom")
ANEW = "write it anew, and read it: python -m tests.history.cases"


@pytest.mark.parametrize("path", STREAMS.values(), ids=STREAMS)
def test_what_a_watch_has_seen_is_printed_as_the_file_says(path: Path) -> None:
    given = case(path)
    assert printed_of_stream(given) == given["printed"], ANEW


@pytest.mark.parametrize("path", CLUSTERS.values(), ids=CLUSTERS)
def test_what_a_cluster_still_knows_is_printed_as_the_file_says(path: Path) -> None:
    given = case(path)
    assert printed(cluster(given)) == given["printed"], ANEW


@pytest.mark.parametrize("path", METRICS.values(), ids=METRICS)
def test_metrics_that_were_recorded_are_still_read(path: Path) -> None:
    assert printed_of_metrics(path) == path.with_suffix(".txt").read_text(), ANEW


def test_each_advice_is_shown_by_a_case() -> None:
    def advice(history: Any, days: float) -> set[str]:
        from datetime import timedelta

        said = as_object(history, START + timedelta(days=days), None)
        return {each["code"] for owner in said["history"] for each in owner["advice"]}

    shown = set()
    for path in STREAMS.values():
        given = case(path)
        shown |= advice(read_metrics(exposition(given["changes"]), PLACE), given["days"])
    for path in CLUSTERS.values():
        shown |= advice(cluster(case(path)), 0)
    assert shown == {rule.id for rule in TABLE.advice}


def test_causes_are_those_that_drains_have() -> None:
    assert TABLE.causes.keys() == CAUSES
    assert {cause for rule in TABLE.advice for cause in rule.causes} <= CAUSES | {""}


@pytest.mark.parametrize(
    ("longest", "grace"),
    [(0, "1m"), (30, "1m"), (31, "2m"), (412, "15m"), (1800, "1h"), (3601, "3h"), (30 * 86400, "30d")],
)
def test_a_suggested_grace_period_is_one_that_people_write_and_twice_the_longest_time(longest: int, grace: str) -> None:
    assert suggest_grace_period(longest) == grace


def test_no_suggestion_is_below_the_longest_drain() -> None:
    for seconds in range(0, 30 * 86400, 997):
        assert duration(suggest_grace_period(seconds)) >= min(seconds * TABLE.margin, 30 * 86400)


def test_the_steps_rise() -> None:
    steps = [duration(step) for step in TABLE.steps]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize("name", ["killed", "cut", "oom-and-failed"])
def test_the_events_that_a_watch_writes_are_understood(name: str) -> None:
    scene = Scene()
    for step in WATCHED[name]["changes"]:
        ((kind, given),) = step.items()
        scene.see(kind, given)
    events = [event_object(aggregated, scene.now()) for aggregated in scene.aggregator.due(scene.seconds + 10)]
    assert [describe_event(event) for event in events] == WATCHED[name]["events"]
    read = [each for event in events if (each := read_event_record(event))]
    assert len(read) == len(events)
    known = combine([], read, "", ())
    lost = {"killed", "cut", "oom"}
    metrics = read_metrics(scene.metrics.exposition().decode() + "graceful_worker_watch_build_info 1.0\n", PLACE)
    counted = {
        (each.workload.owner, outcome, count)
        for each in metrics.records
        for outcome, count in each.outcomes.items()
        if outcome.value in lost
    }
    assert {
        (each.workload.owner, outcome, count) for each in known.records for outcome, count in each.outcomes.items()
    } == counted
    after = {(each.workload.owner, kill.after) for each in metrics.records for kill in each.kills}
    assert {(each.workload.owner, kill.after) for each in known.records for kill in each.kills} == after


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not the metrics of graceful-worker watch"),
        ("<html>login</html>", "not the metrics of graceful-worker watch"),
        ("graceful_worker_build_info 1.0\n", "not the metrics of graceful-worker watch"),
        ('graceful_worker_drains_total{outcome="kil', "cannot be read"),
        ('graceful_worker_drains_total{outcome="killed"} many', "cannot be read"),
        ("graceful_worker_watch_start_time_seconds 1e300", "cannot be read"),
    ],
)
def test_what_is_no_metrics_of_a_watch_is_said_to_be_none(text: str, words: str) -> None:
    with pytest.raises(InvalidMetrics, match=words):
        read_metrics(text, PLACE)


def test_numbers_that_are_none_are_passed_over() -> None:
    labels = 'namespace="shop",owner_kind="Deployment",owner="emails",framework="",mode=""'
    text = (
        "graceful_worker_watch_build_info 1.0\n"
        f'graceful_worker_drains_total{{outcome="finished",cause="rollout",{labels}}} 3.0\n'
        f'graceful_worker_drains_total{{outcome="new-word",cause="rollout",{labels}}} 3.0\n'
        f"graceful_worker_drain_longest_in_time_seconds{{{labels}}} NaN\n"
        f"graceful_worker_drain_grace_period_seconds{{{labels}}} +Inf\n"
        'graceful_worker_drains_total{outcome="finished"} 3.0\n'
    )
    (record,) = read_metrics(text, PLACE).records
    assert (record.drains, record.longest, record.grace) == (3, None, None)
