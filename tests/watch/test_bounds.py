"""The watch keeps a bounded number of series, owners and Events, however many pods exist."""

from __future__ import annotations

import datetime
import json

import pytest

from tests.drains.pods import START, pod
from webhook.core.ownership import Owner
from webhook.drains.durations import annotation_duration
from webhook.drains.outcome import LOST, Outcome
from webhook.drains.pod_fields import decode_pod
from webhook.drains.reflector import PodDeleted, PodUpdated
from webhook.drains.tracker import Tracker
from webhook.watch.event_aggregator import MAX_PER_NAMESPACE, AggregatedEvent, EventAggregator, PodEvent
from webhook.watch.event_messages import MESSAGES, Message
from webhook.watch.event_writer import event_object
from webhook.watch.handlers import DrainHandler
from webhook.watch.metrics import DrainCollector, Metrics
from webhook.watch.statistics import DrainStatistics
from webhook.watch.workloads import ALL_OTHERS, IDLE_SECONDS, OTHER, Workload, WorkloadMap


def workload(owner: str, namespace: str = "shop") -> Workload:
    return Workload(namespace, "Job", owner, "celery", "signal")


def pod_event(owner: str, namespace: str = "shop") -> PodEvent:
    return PodEvent(namespace, Owner("Job", owner), "", "pod", "uid", "WorkerKilled", "{pods} killed", 600.0)


def test_a_namespace_with_many_owners_takes_no_series_from_other_namespaces() -> None:
    workloads: WorkloadMap[list[None]] = WorkloadMap(list, max_entries=10, max_per_namespace=3)
    for number in range(100):
        workloads.get_or_add(workload(f"job-{number}"), 0)
    workloads.get_or_add(workload("import", "bank"), 0)
    named = [each for each, _ in workloads]
    assert named == [
        *(workload(f"job-{number}") for number in range(3)),
        Workload("shop", OTHER, OTHER, "", ""),
        workload("import", "bank"),
    ]
    assert workloads.resolve(workload("job-77")) == Workload("shop", OTHER, OTHER, "", "")


def test_namespaces_beyond_the_limit_share_one_series() -> None:
    workloads: WorkloadMap[list[None]] = WorkloadMap(list, max_entries=10, max_per_namespace=3)
    for number in range(100):
        workloads.get_or_add(workload("import", f"tenant-{number}"), 0)
    assert len(list(workloads)) == 11
    assert workloads.resolve(workload("import", "tenant-77")) == ALL_OTHERS


def test_an_owner_that_was_idle_for_a_day_is_replaced_by_a_new_one() -> None:
    workloads: WorkloadMap[list[None]] = WorkloadMap(list, max_entries=10, max_per_namespace=2)
    workloads.get_or_add(workload("old"), 0)
    workloads.get_or_add(workload("newer"), 100)
    workloads.get_or_add(workload("newest"), IDLE_SECONDS + 50)
    assert [each.owner for each, _ in workloads] == ["newer", "newest"]


def test_the_number_of_owners_with_events_is_bounded_per_namespace() -> None:
    aggregator = EventAggregator()
    for number in range(MAX_PER_NAMESPACE + 5):
        aggregator.add(pod_event(f"job-{number}"), 0)
    aggregator.add(pod_event("import", "bank"), 0)
    due = aggregator.due(10)
    assert len(due) == MAX_PER_NAMESPACE + 1
    assert aggregator.results["dropped"] == 5
    aggregator.due(1000)
    aggregator.add(pod_event("another"), 1000)
    assert [each.pod_event.owner.name for each in aggregator.due(1010)] == ["another"]


def test_the_series_of_every_outcome_exist_before_the_first_drain_ends() -> None:
    """An alert on an increase sees the first end only if its series existed before."""
    tracker, statistics = Tracker(), DrainStatistics()
    handler = DrainHandler(tracker, statistics, EventAggregator())
    metrics = Metrics(DrainCollector(tracker, statistics, lambda: START))
    handler.handle(PodUpdated(pod("a", deleted=0)))
    series = [
        line for line in metrics.exposition().decode().splitlines() if line.startswith("graceful_worker_drains_total")
    ]
    assert {line.partition('outcome="')[2].partition('"')[0] for line in series} == {
        outcome.value for outcome in Outcome
    }
    assert {line.rpartition(" ")[2] for line in series} == {"0.0"}


def test_a_drain_that_has_ended_leaves_no_series_of_its_pod() -> None:
    tracker, statistics = Tracker(), DrainStatistics()
    handler = DrainHandler(tracker, statistics, EventAggregator())
    for number in range(50):
        handler.handle(PodDeleted(pod(f"pod-{number}", deleted=0, ends={"worker": {"at": 5}})))
    text = Metrics(DrainCollector(tracker, statistics, lambda: START)).exposition().decode()
    assert "pod-7" not in text
    assert len(text) < 8000


def test_metrics_are_cached_for_some_seconds() -> None:
    now = 0.0
    tracker, statistics = Tracker(), DrainStatistics()
    metrics = Metrics(DrainCollector(tracker, statistics, lambda: START), clock=lambda: now)
    first = metrics.exposition()
    DrainHandler(tracker, statistics, EventAggregator()).handle(PodUpdated(pod("a", deleted=0)))
    assert metrics.exposition() is first
    now = 5.0
    assert b'owner="emails"' in metrics.exposition()


def test_a_status_annotation_that_is_too_large_is_dropped() -> None:
    given = pod("a", deleted=0, workers={"worker": {"mode": "signal" * 10_000}})
    assert decode_pod(json.dumps(given).encode())["metadata"]["annotations"] == {}


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome in LOST])
def test_every_outcome_that_loses_a_message_has_an_event_text_for_any_cause(outcome: Outcome) -> None:
    last = [each for each in MESSAGES if each.outcome is outcome][-1]
    assert last.cause == ""


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: f"{message.outcome.value}-{message.cause}")
def test_the_text_of_a_message_fits_into_an_event(message: Message) -> None:
    text = message.text.format(pods="{pods}", period=2592000, grace=2592000, longer="30d")
    event = event_object(
        AggregatedEvent(PodEvent("n" * 63, Owner("Job", "o" * 253), "", "p" * 253, "", "Any", text, 1), 9999), START
    )
    assert event["message"].endswith(text[-20:])
    assert len(event["message"]) <= 1024


@pytest.mark.parametrize(("seconds", "text"), [(60, "1m"), (5400, "1h30m"), (2592000, "30d"), (0, "0s"), (90, "1m30s")])
def test_a_duration_is_written_as_annotations_accept_it(seconds: int, text: str) -> None:
    assert annotation_duration(seconds) == text


def test_the_name_of_an_event_is_valid_for_the_api_server() -> None:
    event = event_object(
        AggregatedEvent(pod_event("a" * 199 + "-" + "b" * 50), 1), datetime.datetime(2026, 8, 1, tzinfo=datetime.UTC)
    )
    assert event["metadata"]["generateName"] == "a" * 199 + "."
