"""Determines the state of pods with the same core as the webhook."""

from __future__ import annotations

import re
import sys
from typing import TypedDict

from msgspec.structs import replace

from webhook.core.annotations import Evict, annotation_of
from webhook.core.errors import Refused
from webhook.core.injection import inject
from webhook.core.ownership import owner_of
from webhook.core.pod import DEFAULT_GRACE, JsonObject
from webhook.core.policy import Policy
from webhook.core.reasons import Finding, Kind, Reason
from webhook.core.status import Status, read_status
from webhook.inspection.drain_limits import TABLE
from webhook.inspection.snapshot import State, WorkerPod

_EVICT = annotation_of("evict")
_AS_ASKED = Evict.AS_ASKED.value
# As releases are named; others can edit the annotation.
_VERSION = re.compile(r"\d{1,6}\.\d{1,6}\.\d{1,6}[\w.+-]{0,40}", re.ASCII)
_STATES = {Kind.PROTECTED: State.UNPROTECTED, Kind.REFUSED: State.REFUSED}


class _OwnerReference(TypedDict, total=False):
    apiVersion: str
    kind: str
    name: str
    controller: bool | None


class _Metadata(TypedDict, total=False):
    namespace: str
    name: str
    labels: dict[str, str] | None
    annotations: dict[str, str] | None
    ownerReferences: list[_OwnerReference] | None
    deletionTimestamp: str | None


class _Spec(TypedDict, total=False):
    nodeName: str | None
    priority: int | None
    terminationGracePeriodSeconds: int | None


class InjectedPodFields(TypedDict, total=False):
    """The fields of a protected pod that are read here: its containers, and what is added to them, are most of it."""

    metadata: _Metadata
    spec: _Spec


def read_injected_pod(pod: JsonObject) -> WorkerPod:
    """Read a pod that has the label of injected pods."""
    annotations = pod["metadata"].get("annotations") or {}
    status = read_status_or_none(annotations)
    if status is None:
        return _read(pod, State.UNRECORDED)
    spec = pod["spec"]
    return replace(
        _read(pod, State.PROTECTED),
        workers={name: worker.mode for name, worker in status.workers.items()},
        version=recorded_version(status),
        grace=_grace(pod),
        # Thousands of pods share the same node names.
        node=sys.intern(spec.get("nodeName") or ""),
        priority=spec.get("priority") or 0,
        exempt=TABLE.exempts(annotations),
        as_asked=annotations.get(_EVICT) == _AS_ASKED,
    )


def _grace(pod: JsonObject) -> int:
    grace: int | None = pod["spec"].get("terminationGracePeriodSeconds")
    return DEFAULT_GRACE if grace is None else grace


def read_status_or_none(annotations: dict[str, str]) -> Status | None:
    """Read the status annotation; None if it is missing or not valid."""
    try:
        return read_status(annotations)
    except Refused:
        return None


def recorded_version(status: Status) -> str:
    """Return the version that protected a pod; empty if the annotation does not have the form of one."""
    return status.version if _VERSION.fullmatch(status.version) else ""


def read_candidate_pod(pod: JsonObject) -> WorkerPod:
    """Read a pod that is sent to the webhook but lacks its label, and decide on it again.

    The operator's grace period does not matter: it never decides whether a pod is protected.
    """
    decision = inject(pod, Policy()).decision
    state = _STATES.get(decision.outcome, State.LEFT_ALONE)
    verdict = None if state is State.UNPROTECTED else decision.verdict
    return replace(_read(pod, state), verdict=verdict, grace=_grace(pod))


def read_mislabelled_pod(pod: JsonObject) -> WorkerPod:
    """Read a pod whose label has an invalid value."""
    return replace(_read(pod, State.MISLABELLED), verdict=Finding(Reason.LABEL_INVALID))


def _read(pod: JsonObject, state: State) -> WorkerPod:
    metadata = pod["metadata"]
    ending = "deletionTimestamp" in metadata
    return WorkerPod(metadata["namespace"], metadata["name"], owner_of(metadata), state, ending=ending)


def format_verdict(verdict: Finding | None) -> str:
    """Format a verdict without details, which may quote the pod; `explain` shows them."""
    return f"{verdict.reason.sentence} [{verdict.reason.value}]" if verdict else ""
