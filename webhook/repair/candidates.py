"""Which workloads have pods that should be recreated, and the order of their restarts: pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from webhook.core.formatting import listed, pluralize
from webhook.core.reasons import Finding
from webhook.inspection.installation_checks import UNKNOWN_VERSION, is_older, newest_version
from webhook.inspection.snapshot import Snapshot, State, WorkerPod
from webhook.kubernetes.api_client import NotPermitted

UNPROTECTED_STATES = frozenset({State.UNPROTECTED, State.REFUSED, State.MISLABELLED, State.UNRECORDED})
"""The states of pods that should be protected, but are not."""


class Workload(msgspec.Struct, frozen=True, order=True):
    """What owns pods, and recreates them."""

    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} in {self.namespace}"

    @property
    def argument(self) -> str:
        """Name it in kubectl's notation."""
        return f"{self.kind.lower()}/{self.name}"


class RestartCandidate(msgspec.Struct, frozen=True):
    """A workload, and its pods that should be recreated."""

    workload: Workload
    unprotected: tuple[str, ...] = ()
    older: tuple[str, ...] = ()
    """Those protected by an older version."""
    versions: tuple[str, ...] = ()
    """These versions."""
    grace: int = 0
    """The longest grace period of the workload's pods, in seconds."""
    state: State | None = None
    """What prevents the protection of new pods, as far as the pods show."""
    verdict: Finding | None = None

    @property
    def pods(self) -> tuple[str, ...]:
        """All of them."""
        return *self.unprotected, *self.older

    def fill_in(self, text: str, values: dict[str, str]) -> str:
        """Replace `{name}` in a sentence or an advice by a value of the workload, its pods, or `values`."""
        named = {"argument": self.workload.argument, "pods": " ".join(self.pods)}
        return text.format_map({**msgspec.structs.asdict(self.workload), **named, **values})

    def __str__(self) -> str:
        parts = []
        if self.unprotected:
            parts.append(f"{pluralize(len(self.unprotected), 'pod')} unprotected")
        if self.older:
            verb = "has" if len(self.older) == 1 else "have"
            versions = listed(version or UNKNOWN_VERSION for version in self.versions)
            parts.append(f"{pluralize(len(self.older), 'pod')} {verb} an older injection ({versions})")
        return ", ".join(parts)


def workload_of(pod: WorkerPod) -> Workload:
    """Return the workload of a pod."""
    return Workload(pod.namespace, pod.owner.kind, pod.owner.name)


def find_candidates(snapshot: Snapshot) -> list[RestartCandidate]:
    """Return the workloads with pods to recreate: first those with unprotected pods, then those with older injections.

    A terminating pod does not count: it is too late for it.
    """
    newest = newest_version(snapshot)
    by_workload: dict[Workload, list[WorkerPod]] = {}
    for pod in [] if isinstance(snapshot.pods, NotPermitted) else snapshot.pods:
        if not pod.ending:
            by_workload.setdefault(workload_of(pod), []).append(pod)
    found = [_candidate(workload, pods, newest) for workload, pods in by_workload.items()]
    return sorted((each for each in found if each.pods), key=lambda each: (not each.unprotected, each.workload))


def _candidate(workload: Workload, pods: Sequence[WorkerPod], newest: str) -> RestartCandidate:
    older = [pod for pod in pods if pod.state is State.PROTECTED and is_older(pod.version, newest)]
    unprotected = [pod for pod in pods if pod.state in UNPROTECTED_STATES]
    # If one pod can be protected, so can the template: the others may be from an earlier one.
    can_be_protected = not unprotected or older or any(pod.state is State.UNPROTECTED for pod in unprotected)
    return RestartCandidate(
        workload,
        tuple(sorted(pod.name for pod in unprotected)),
        tuple(sorted(pod.name for pod in older)),
        tuple(sorted({pod.version for pod in older})),
        max(pod.grace for pod in pods),
        None if can_be_protected else unprotected[0].state,
        None if can_be_protected else unprotected[0].verdict,
    )
