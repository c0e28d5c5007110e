"""Workloads whose drains are counted together; their number is bounded, and with it that of the metrics' series."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec

from webhook.core.ownership import Owner
from webhook.drains.pods import DrainingPod

MAX_ENTRIES = 500
MAX_PER_NAMESPACE = 100
"""Maximum per namespace, so that its owners do not displace all others."""
IDLE_SECONDS = 86400.0
"""Time after which an idle workload may be replaced: Jobs have a new name each time."""
OTHER = "other"
# The content of our annotation may have been written by any author of pods.
_LABEL_VALUE = re.compile(r"[a-z0-9][-a-z0-9,.]{0,62}")
# A CronJob numbers its Jobs by minute: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
_CRON_JOB_NAME = re.compile(r"(.+)-\d{8,10}")


class Workload(msgspec.Struct, frozen=True):
    """An owner with its worker; the fields are the metrics' labels."""

    namespace: str
    owner_kind: str
    owner: str
    framework: str
    mode: str


LABELS = Workload.__struct_fields__
ALL_OTHERS = Workload(OTHER, OTHER, OTHER, "", "")


def workload_of(pod: DrainingPod) -> Workload:
    """Return the workload of a pod; pods without a controller are one workload per namespace."""
    return workload_of_owner(pod.namespace, pod.owner, pod.framework, pod.mode)


def workload_of_owner(namespace: str, owner: Owner, framework: str = "", mode: str = "") -> Workload:
    """Return the workload of an owner's pods."""
    kind, name = owner.kind, owner.name
    if kind == "Job" and (cron_job := _CRON_JOB_NAME.fullmatch(name)):
        kind, name = "CronJob", cron_job[1]
    return Workload(namespace, kind, "" if kind == "Pod" else name, _label_value(framework), _label_value(mode))


def _label_value(text: str) -> str:
    return text if not text or _LABEL_VALUE.fullmatch(text) else OTHER


Value = TypeVar("Value")


class WorkloadMap(Generic[Value]):
    """Keeps a value for each of a bounded number of workloads."""

    def __init__(
        self, new_value: Callable[[], Value], max_entries: int = MAX_ENTRIES, max_per_namespace: int = MAX_PER_NAMESPACE
    ) -> None:
        self._new_value = new_value
        self._max_entries = max_entries
        self._max_per_namespace = max_per_namespace
        self._values: dict[Workload, Value] = {}
        self._last_used: dict[Workload, float] = {}
        self._by_namespace: dict[str, set[Workload]] = {}

    def __iter__(self) -> Iterator[tuple[Workload, Value]]:
        """Return all workloads with their values."""
        return iter(self._values.items())

    def resolve(self, workload: Workload) -> Workload:
        """Return the workload as which another one is currently counted."""
        others = Workload(workload.namespace, OTHER, OTHER, "", "")
        return next((each for each in (workload, others) if each in self._values), ALL_OTHERS)

    def get_or_add(self, workload: Workload, now: float) -> Value:
        """Return the value of a workload, or that of all others if there is no room."""
        others = Workload(workload.namespace, OTHER, OTHER, "", "")
        key = next((each for each in (workload, others) if self._has_room(each, now)), ALL_OTHERS)
        if key not in self._values:
            self._values[key] = self._new_value()
            self._by_namespace.setdefault(key.namespace, set()).add(key)
        self._last_used[key] = now
        return self._values[key]

    def _has_room(self, workload: Workload, now: float) -> bool:
        if workload in self._values:
            return True
        own = self._by_namespace.get(workload.namespace, set())
        # A namespace always has room for its workload of all others.
        if len(own) >= self._max_per_namespace and workload.owner_kind != OTHER and not self._remove_idle(own, now):
            return False
        return len(self._values) < self._max_entries or self._remove_idle(self._last_used, now)

    def _remove_idle(self, workloads: set[Workload] | dict[Workload, float], now: float) -> bool:
        oldest = min(workloads, key=self._last_used.__getitem__)
        if self._last_used[oldest] > now - IDLE_SECONDS:
            return False
        del self._values[oldest], self._last_used[oldest]
        own = self._by_namespace[oldest.namespace]
        own.discard(oldest)
        if not own:
            del self._by_namespace[oldest.namespace]
        return True
