"""Pods as the API server stores them, and how each of them stands, by the same core that the webhook decides by."""

from __future__ import annotations

import sys

from msgspec.structs import replace

from webhook.core.annotations import Evict, annotation_of
from webhook.core.decision import Policy
from webhook.core.injection import inject
from webhook.core.ownership import owner_of
from webhook.core.pod import DEFAULT_GRACE, JsonObject
from webhook.core.reasons import Finding, Kind, Reason
from webhook.core.refusal import Refused
from webhook.core.status import Status, read_status
from webhook.inspection.drain_limits import TABLE
from webhook.inspection.observations import State, WorkerPod

_EVICT = annotation_of("evict")
_AS_ASKED = Evict.AS_ASKED.value
_STATES = {Kind.PROTECTED: State.UNPROTECTED, Kind.REFUSED: State.REFUSED}


def injected_pod(pod: JsonObject) -> WorkerPod:
    """Read a whole pod that bears the label of the injected."""
    annotations = pod["metadata"].get("annotations") or {}
    status = _status(annotations)
    if status is None:
        return _read(pod, State.UNRECORDED)
    workers = {name: worker.mode for name, worker in status.workers.items()}
    read = _read(pod, State.PROTECTED, workers=workers, version=status.version)
    spec = pod["spec"]
    grace = spec.get("terminationGracePeriodSeconds")
    return replace(
        read,
        grace=DEFAULT_GRACE if grace is None else grace,
        # Thousands of pods share some nodes, and their names.
        node=sys.intern(spec.get("nodeName") or ""),
        priority=spec.get("priority") or 0,
        exempt=TABLE.exempts(annotations),
        as_asked=annotations.get(_EVICT) == _AS_ASKED,
    )


def _status(annotations: dict[str, str]) -> Status | None:
    try:
        return read_status(annotations)
    except Refused:
        return None


def candidate_pod(pod: JsonObject) -> WorkerPod:
    """Read a whole pod that is sent to the webhook and does not bear its label, and decide on it anew.

    The operator's grace period does not matter here: it never decides whether a pod is protected.
    """
    decision = inject(pod, Policy()).decision
    if decision.outcome is Kind.PROTECTED:
        return _read(pod, State.UNPROTECTED)
    return _read(pod, _STATES.get(decision.outcome, State.LEFT_ALONE), verdict=decision.verdict)


def mislabelled_pod(pod: JsonObject) -> WorkerPod:
    """Read a pod whose label has a value that means nothing."""
    return _read(pod, State.MISLABELLED, verdict=Finding(Reason.LABEL_INVALID))


def _read(
    pod: JsonObject,
    state: State,
    *,
    verdict: Finding | None = None,
    workers: dict[str, str] | None = None,
    version: str = "",
) -> WorkerPod:
    metadata = pod["metadata"]
    return WorkerPod(
        metadata["namespace"],
        metadata["name"],
        str(owner_of(metadata)),
        state,
        verdict,
        workers or {},
        version,
        "deletionTimestamp" in metadata,
    )
