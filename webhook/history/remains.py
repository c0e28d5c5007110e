"""What a cluster still knows of drains that are over, without a watch: containers that have ended, and Events."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import msgspec

from webhook.core.errors import Refused
from webhook.core.ownership import Owner, owner_of
from webhook.core.pod import DEFAULT_GRACE, JsonObject
from webhook.core.status import read_status
from webhook.drains.outcome import Outcome
from webhook.history.evidence import Evidence, History, Kill
from webhook.watch.event_messages import MESSAGES
from webhook.watch.statistics import KILLS
from webhook.watch.workloads import Workload, workload_of_owner

# The loop's last words: webhook/shell/loop.sh. "up to" where it does not know when the drain began.
_DRAINED = re.compile(r"loop drained in (?:up to )?(\d{1,9}) s; runs: \d+, longest: (\d{1,9}) s")
# An Event of the watch: webhook/watch/event_messages.toml.
_AFTER = re.compile(r" killed (\d{1,9}) s after ")
_OUTCOMES = {row.reason: row.outcome for row in MESSAGES}
OwnerKey: TypeAlias = tuple[str, Owner]


class Remains(msgspec.Struct, frozen=True):
    """What a pod that is there tells: its group, its grace period, and the last words of its loops."""

    workload: Workload
    grace: int
    drained: tuple[tuple[int, int], ...] = ()
    """Of each container that has drained, the seconds that it took, and its longest run."""


class Told(msgspec.Struct, frozen=True):
    """What an Event of the watch tells."""

    workload: Workload
    outcome: Outcome
    count: int
    after: int | None


def read_remains(pod: JsonObject) -> Remains:
    """Read a protected pod, whether it lives or not."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    framework, mode = _workers(metadata.get("annotations") or {})
    grace = spec.get("terminationGracePeriodSeconds")
    workload = workload_of_owner(metadata["namespace"], owner_of(metadata), framework, mode)
    return Remains(workload, DEFAULT_GRACE if grace is None else grace, tuple(_drained(pod.get("status") or {})))


def _workers(annotations: Mapping[str, str]) -> tuple[str, str]:
    try:
        status = read_status(dict(annotations))
    except Refused:
        return "", ""
    workers = status.workers.values() if status else ()
    words = {each.framework for each in workers if each.framework}, {each.mode for each in workers if each.mode}
    return ",".join(sorted(words[0])), ",".join(sorted(words[1]))


def _drained(status: JsonObject) -> Iterator[tuple[int, int]]:
    """Find the loops that have ended in a drain: now, or before the container was restarted."""
    for container in status.get("containerStatuses") or ():
        for state in ("state", "lastState"):
            terminated = (container.get(state) or {}).get("terminated") or {}
            words = _DRAINED.search(terminated.get("message") or "")
            if words and not terminated.get("exitCode"):
                yield int(words[1]), int(words[2])


def read_told(event: JsonObject) -> Told | None:
    """Read an Event of the watch; None where it is not about a drain."""
    outcome = _OUTCOMES.get(event.get("reason") or "")
    regarding = event.get("involvedObject") or {}
    if outcome is None or not regarding.get("kind"):
        return None
    owner = Owner(regarding["kind"], regarding.get("name", ""), regarding.get("apiVersion", ""))
    after = _AFTER.search(event.get("message") or "")
    workload = workload_of_owner(event["metadata"]["namespace"], owner)
    return Told(workload, outcome, event.get("count") or 1, int(after[1]) if after else None)


def gather(remains: Iterable[Remains], events: Iterable[Told], place: str, missing: tuple[str, ...]) -> History:
    """Put together what is known of each group."""
    pods: dict[Workload, list[Remains]] = {}
    for each in remains:
        pods.setdefault(each.workload, []).append(each)
    known = {_without_worker(workload): workload for workload in sorted(pods, key=msgspec.structs.astuple)}
    told: dict[Workload, list[Told]] = {}
    for event in events:
        told.setdefault(known.get(event.workload, event.workload), []).append(event)
    workloads = sorted(pods.keys() | told.keys(), key=msgspec.structs.astuple)
    evidence = (_evidence(workload, pods.get(workload, []), told.get(workload, [])) for workload in workloads)
    return History("cluster", place, None, tuple(each for each in evidence if each.outcomes), missing)


def _without_worker(workload: Workload) -> Workload:
    return msgspec.structs.replace(workload, framework="", mode="")


def _evidence(workload: Workload, pods: list[Remains], events: list[Told]) -> Evidence:
    drained = [each for pod in pods for each in pod.drained]
    outcomes = Counter({Outcome.FINISHED: len(drained)} if drained else {})
    kills: dict[Outcome, Kill] = {}
    for event in events:
        outcomes[event.outcome] += event.count
        if event.outcome in KILLS:
            before = kills.get(event.outcome, Kill(event.outcome, "", 0))
            after = max(filter(None, (before.after, event.after)), default=None)
            kills[event.outcome] = Kill(event.outcome, "", before.count + event.count, after)
    return Evidence(
        workload,
        dict(outcomes),
        timed=len(drained),
        longest=max((seconds for seconds, _ in drained), default=None),
        longest_run=max((run for _, run in drained), default=None),
        grace=max((pod.grace for pod in pods), default=None),
        kills=tuple(kills.values()),
    )
