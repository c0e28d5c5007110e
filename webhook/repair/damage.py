"""Which owners have pods that should be recreated, and the order of their restarts: pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from webhook.core.reasons import Finding
from webhook.core.text import listed
from webhook.inspection.observations import Observations, State, Unseen, WorkerPod
from webhook.inspection.versions import is_before, newest_version
from webhook.inspection.words import counted

BARE = frozenset({State.UNPROTECTED, State.REFUSED, State.MISLABELLED, State.UNRECORDED})
"""The states of pods that should be protected, but are not."""


class Owner(msgspec.Struct, frozen=True, order=True):
    """The owner of pods, which recreates them."""

    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} in {self.namespace}"

    @property
    def argument(self) -> str:
        """Name it in kubectl's notation."""
        return f"{self.kind.lower()}/{self.name}"


class Damage(msgspec.Struct, frozen=True):
    """An owner, and its pods that should be recreated."""

    owner: Owner
    unprotected: tuple[str, ...] = ()
    older: tuple[str, ...] = ()
    """Those protected by an older version."""
    versions: tuple[str, ...] = ()
    """These versions."""
    grace: int = 0
    """The longest grace period of the owner's pods, in seconds."""
    state: State | None = None
    """What prevents the protection of new pods, as far as the pods show."""
    verdict: Finding | None = None

    @property
    def pods(self) -> tuple[str, ...]:
        """All of them."""
        return *self.unprotected, *self.older

    def __str__(self) -> str:
        parts = []
        if self.unprotected:
            parts.append(f"{counted(len(self.unprotected), 'pod')} unprotected")
        if self.older:
            verb = "has" if len(self.older) == 1 else "have"
            versions = listed(self.versions)
            parts.append(f"{counted(len(self.older), 'pod')} {verb} an older injection ({versions})")
        return ", ".join(parts)


def owner_of(pod: WorkerPod) -> Owner:
    """Return the owner of a pod."""
    kind, _, name = pod.owner.partition(" ")
    return Owner(pod.namespace, kind, name)


def newest_of(seen: Observations) -> str:
    """Return the version that injections should have."""
    return newest_version(seen, _protected(_pods(seen)))


def find_damage(seen: Observations) -> list[Damage]:
    """Return the owners with pods to recreate: first those with unprotected pods, then those with older injections.

    A terminating pod does not count: it is too late for it.
    """
    newest = newest_of(seen)
    by_owner: dict[Owner, list[WorkerPod]] = {}
    for pod in _pods(seen):
        if not pod.ending:
            by_owner.setdefault(owner_of(pod), []).append(pod)
    found = [_damage(owner, pods, newest) for owner, pods in by_owner.items()]
    return sorted((each for each in found if each.pods), key=lambda each: (not each.unprotected, each.owner))


def _pods(seen: Observations) -> list[WorkerPod]:
    return [] if isinstance(seen.pods, Unseen) else seen.pods


def _protected(pods: Iterable[WorkerPod]) -> list[WorkerPod]:
    return [pod for pod in pods if pod.state is State.PROTECTED]


def _damage(owner: Owner, pods: Sequence[WorkerPod], newest: str) -> Damage:
    older = [pod for pod in _protected(pods) if is_before(pod.version, newest)]
    bare = [pod for pod in pods if pod.state in BARE]
    # If one pod can be protected, so can the template: the others may be from an earlier one.
    is_mendable = not bare or older or any(pod.state is State.UNPROTECTED for pod in bare)
    return Damage(
        owner,
        tuple(sorted(pod.name for pod in bare)),
        tuple(sorted(pod.name for pod in older)),
        tuple(sorted({pod.version for pod in older})),
        max(pod.grace for pod in pods),
        None if is_mendable else bare[0].state,
        None if is_mendable else bare[0].verdict,
    )
