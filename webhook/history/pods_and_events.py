"""Reads past drains from what a cluster still has of them without a watch: terminated containers, and Events."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec
from msgspec.structs import astuple, replace

from webhook.core.ownership import Owner, owner_of
from webhook.core.pod import DEFAULT_GRACE, JsonObject
from webhook.drains.outcome import Outcome
from webhook.drains.pods import framework_and_mode, read_workers
from webhook.history.records import DrainRecord, History, KilledCount
from webhook.watch.event_messages import MESSAGES
from webhook.watch.statistics import KILLS
from webhook.watch.workloads import Workload, workload_of_owner

# The termination message of the loop: webhook/shell/loop.sh. "up to" where it does not know when the drain started.
_DRAIN_MESSAGE = re.compile(r"loop drained in (?:up to )?(\d{1,9}) s; runs: \d+, longest: (\d{1,9}) s")
# An Event of the watch: webhook/watch/event_messages.toml.
_KILLED_AFTER = re.compile(r" killed (\d{1,9}) s after ")
_OUTCOMES = {row.reason: row.outcome for row in MESSAGES}


class PodRecord(msgspec.Struct, frozen=True):
    """What an existing pod shows: its workload, its grace period, and the termination messages of its loops."""

    workload: Workload
    grace: int
    drained: tuple[tuple[int, int], ...] = ()
    """Of each container that has drained, the seconds that it took, and its longest run."""


class EventRecord(msgspec.Struct, frozen=True):
    """What an Event of the watch says."""

    workload: Workload
    outcome: Outcome
    count: int
    after: int | None


def read_pod_record(pod: JsonObject) -> PodRecord:
    """Read a protected pod, whether it runs or not."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    framework, mode = framework_and_mode(read_workers(metadata.get("annotations") or {}))
    grace = spec.get("terminationGracePeriodSeconds")
    workload = workload_of_owner(metadata["namespace"], owner_of(metadata), framework, mode)
    return PodRecord(workload, DEFAULT_GRACE if grace is None else grace, tuple(_loop_drains(pod.get("status") or {})))


def _loop_drains(status: JsonObject) -> Iterator[tuple[int, int]]:
    """Find the loops that have ended in a drain: now, or before the container was restarted."""
    for container in status.get("containerStatuses") or ():
        for state in ("state", "lastState"):
            terminated = (container.get(state) or {}).get("terminated") or {}
            message = _DRAIN_MESSAGE.search(terminated.get("message") or "")
            if message and not terminated.get("exitCode"):
                yield int(message[1]), int(message[2])


def read_event_record(event: JsonObject) -> EventRecord | None:
    """Read an Event of the watch; None where it is not about a drain."""
    outcome = _OUTCOMES.get(event.get("reason") or "")
    regarding = event.get("involvedObject") or {}
    if outcome is None or not regarding.get("kind"):
        return None
    owner = Owner(regarding["kind"], regarding.get("name", ""), regarding.get("apiVersion", ""))
    after = _KILLED_AFTER.search(event.get("message") or "")
    workload = workload_of_owner(event["metadata"]["namespace"], owner)
    return EventRecord(workload, outcome, event.get("count") or 1, int(after[1]) if after else None)


def combine(
    pod_records: Iterable[PodRecord], event_records: Iterable[EventRecord], place: str, missing: tuple[str, ...]
) -> History:
    """Combine what is known of each workload."""
    pods: dict[Workload, list[PodRecord]] = {}
    for each in pod_records:
        pods.setdefault(each.workload, []).append(each)
    known = {replace(workload, framework="", mode=""): workload for workload in sorted(pods, key=astuple)}
    events: dict[Workload, list[EventRecord]] = {}
    for event in event_records:
        events.setdefault(known.get(event.workload, event.workload), []).append(event)
    workloads = sorted(pods.keys() | events.keys(), key=astuple)
    records = (_record(workload, pods.get(workload, []), events.get(workload, [])) for workload in workloads)
    return History("cluster", place, None, tuple(each for each in records if each.outcomes), missing)


def _record(workload: Workload, pods: list[PodRecord], events: list[EventRecord]) -> DrainRecord:
    drained = [each for pod in pods for each in pod.drained]
    outcomes = Counter({Outcome.FINISHED: len(drained)} if drained else {})
    kills: dict[Outcome, KilledCount] = {}
    for event in events:
        outcomes[event.outcome] += event.count
        if event.outcome in KILLS:
            before = kills.get(event.outcome, KilledCount(event.outcome, "", 0))
            after = max(filter(None, (before.after, event.after)), default=None)
            kills[event.outcome] = KilledCount(event.outcome, "", before.count + event.count, after)
    return DrainRecord(
        workload,
        dict(outcomes),
        timed=len(drained),
        longest=max((seconds for seconds, _ in drained), default=None),
        longest_run=max((run for _, run in drained), default=None),
        grace=max((pod.grace for pod in pods), default=None),
        kills=tuple(kills.values()),
    )
