"""Reads terminating pods from the API server's objects."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping

import msgspec

from webhook.core.errors import Refused
from webhook.core.ownership import HASH_LABEL, REVISION_LABEL, ROLLOUT_HASH_LABEL, Owner, owner_of, owner_uid_of
from webhook.core.pod import DEFAULT_GRACE, JsonObject
from webhook.core.status import Status, WorkerStatus, read_status

# https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
DISRUPTION = "DisruptionTarget"
LONGEST_SECONDS = 10**9
"""30 years: pods may have longer grace periods, but times have no room for them."""
CLOCK_TOLERANCE = datetime.timedelta(seconds=3)
"""How much times may differ: they are whole seconds, and clocks differ."""
_REVISION_LABELS = (ROLLOUT_HASH_LABEL, HASH_LABEL, REVISION_LABEL)


class ContainerTermination(msgspec.Struct, frozen=True):
    """How a container terminated; `reason` is the kubelet's, `message` the container's own."""

    exit_code: int
    reason: str
    at: datetime.datetime | None
    message: str = ""


class DrainingPod(msgspec.Struct, frozen=True):
    """A terminating pod, with the fields that are kept.

    `deadline` is `deletionTimestamp`: the time of the deletion plus the grace period that it set, `period`. `grace` is
    the pod's own, in seconds. `terminations` has the containers that have ended for good: the kubelet reports them only
    in the last update before the object is deleted (observed on a 1.36 node).
    """

    uid: str
    namespace: str
    name: str
    owner: Owner
    revision: str
    node: str
    workers: dict[str, WorkerStatus]
    grace: int
    period: int
    deadline: datetime.datetime
    disruption: str = ""
    """The reason of the condition DisruptionTarget, such as EvictionByEvictionAPI; empty if there is none."""
    disrupted_at: datetime.datetime | None = None
    """When that condition was set."""
    terminations: dict[str, ContainerTermination] = {}
    owner_uid: str = ""

    @property
    def deleted_at(self) -> datetime.datetime:
        """When the drain started; a second deletion with a shorter period does not change it."""
        return self.deadline - datetime.timedelta(seconds=self.period)

    @property
    def full_deadline(self) -> datetime.datetime:
        """When the pod's own grace period ends.

        A second deletion with less time changes the object; a kubelet that is ending the pod already keeps to the first
        one: https://github.com/kubernetes/kubernetes/issues/113606
        """
        return self.deleted_at + datetime.timedelta(seconds=self.grace)

    @property
    def is_cut(self) -> bool:
        """Whether its grace period was shortened."""
        return self.period < self.grace

    @property
    def is_disruption(self) -> bool:
        """Whether a disruption deleted it: one that deletes a pod sets the condition first, by its own clock."""
        return bool(self.disruption) and (
            not self.disrupted_at or self.disrupted_at <= self.deleted_at + CLOCK_TOLERANCE
        )

    @property
    def is_removed(self) -> bool:
        """Whether its object is being removed by a deletion with period 0, which changes its timestamp.

        The kubelet ends a drain like this, and so does `kubectl delete --force`; neither changes the time that the
        drain had.
        """
        return not self.period

    @property
    def worker_terminations(self) -> list[ContainerTermination]:
        """The terminations of its workers, as far as they have ended."""
        return [self.terminations[name] for name in self.workers if name in self.terminations]

    @property
    def framework(self) -> str:
        """The workers' framework; empty if it is not known."""
        return framework_and_mode(self.workers)[0]

    @property
    def mode(self) -> str:
        """The workers' mode."""
        return framework_and_mode(self.workers)[1]


def revision_of(metadata: JsonObject) -> str:
    """Return the revision that distinguishes rollouts; empty if there is none."""
    labels = metadata.get("labels") or {}
    return sys.intern(next((labels[label] for label in _REVISION_LABELS if labels.get(label)), ""))


def is_draining(pod: JsonObject) -> bool:
    """Tell whether a pod is terminating."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def read_draining_pod(pod: JsonObject) -> DrainingPod:
    """Read a terminating pod."""
    metadata, spec = pod["metadata"], pod.get("spec") or {}
    status = pod.get("status") or {}
    disruption = _disruption(status)
    disrupted_at = disruption.get("lastTransitionTime")
    grace = spec.get("terminationGracePeriodSeconds")
    return DrainingPod(
        uid=metadata.get("uid", ""),
        namespace=sys.intern(metadata["namespace"]),
        name=metadata["name"],
        owner=owner_of(metadata),
        revision=revision_of(metadata),
        node=sys.intern(spec.get("nodeName") or ""),
        workers=read_workers(metadata.get("annotations") or {}),
        grace=DEFAULT_GRACE if grace is None else min(grace, LONGEST_SECONDS),
        period=min(metadata.get("deletionGracePeriodSeconds") or 0, LONGEST_SECONDS),
        deadline=datetime.datetime.fromisoformat(metadata["deletionTimestamp"]),
        disruption=disruption.get("reason") or "",
        disrupted_at=datetime.datetime.fromisoformat(disrupted_at) if disrupted_at else None,
        terminations=_terminations(status),
        owner_uid=owner_uid_of(metadata),
    )


def read_workers(annotations: Mapping[str, str]) -> dict[str, WorkerStatus]:
    """Read the workers from our annotation; none if someone else has changed it to something invalid."""
    try:
        status: Status | None = read_status(dict(annotations))
    except Refused:
        return {}
    return status.workers if status else {}


def _disruption(status: JsonObject) -> JsonObject:
    conditions = status.get("conditions") or ()
    return next((each for each in conditions if each["type"] == DISRUPTION and each["status"] == "True"), {})


def _terminations(status: JsonObject) -> dict[str, ContainerTermination]:
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    states = {each["name"]: (each.get("state") or {}).get("terminated") for each in statuses}
    return {name: _termination(terminated) for name, terminated in states.items() if terminated}


def _termination(terminated: JsonObject) -> ContainerTermination:
    at = terminated.get("finishedAt")
    return ContainerTermination(
        terminated["exitCode"],
        terminated.get("reason") or "",
        datetime.datetime.fromisoformat(at) if at else None,
        terminated.get("message") or "",
    )


def framework_and_mode(workers: Mapping[str, WorkerStatus]) -> tuple[str, str]:
    """Return the frameworks and the modes of workers, each joined by commas."""
    frameworks = {worker.framework for worker in workers.values()} - {""}
    modes = {worker.mode for worker in workers.values()} - {""}
    return ",".join(sorted(frameworks)), ",".join(sorted(modes))
