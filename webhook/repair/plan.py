"""Plans what to restart, what to leave to users, and whether to start at all: pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

import msgspec

from webhook.inspection.checks import BLOCKING, overall_verdict
from webhook.inspection.diagnostics import Code, Severity
from webhook.inspection.installation_checks import check_installation, newest_version, running_versions
from webhook.inspection.snapshot import Snapshot
from webhook.kubernetes.api_client import NotPermitted
from webhook.repair.blockers import Blocker, LiveObject, find_blocker, find_blocker_by_kind
from webhook.repair.candidates import RestartCandidate, Workload, find_candidates, workload_of

_STOPS = BLOCKING | {Code.NOT_INSTALLED, Code.NO_ENTRIES}


class Plan(msgspec.Struct, frozen=True):
    """What to do, in this order."""

    restarts: list[RestartCandidate]
    blocked: list[Blocker]
    version: str = ""
    """The running version; empty if it is unknown, so that no older injections are known either."""


class UnmetPrecondition(msgspec.Struct, frozen=True):
    """Why no restart may start, what to do about it, and the exit code."""

    sentence: str
    advice: str
    exit_code: int = 1


class Selection(msgspec.Struct, frozen=True):
    """The selected workloads; everything if nothing is selected."""

    namespaces: frozenset[str] = frozenset()
    workloads: frozenset[tuple[str, str]] = frozenset()
    """Kind (lower case) and name."""

    def has(self, workload: Workload) -> bool:
        """Tell whether a workload is selected."""
        if self.namespaces and workload.namespace not in self.namespaces:
            return False
        return not self.workloads or (workload.kind.lower(), workload.name) in self.workloads


def select_candidates(snapshot: Snapshot, selection: Selection) -> list[RestartCandidate]:
    """Return the selected workloads with pods to recreate, in the order of their restarts."""
    return [candidate for candidate in find_candidates(snapshot) if selection.has(candidate.workload)]


def unknown_workloads(snapshot: Snapshot, selection: Selection) -> list[str]:
    """Return the selected workloads without any pod: a typo must not look like success."""
    if isinstance(snapshot.pods, NotPermitted):
        return []
    in_namespaces = Selection(selection.namespaces)
    known = {(each.kind.lower(), each.name) for each in map(workload_of, snapshot.pods) if in_namespaces.has(each)}
    return [f"{kind}/{name}" for kind, name in sorted(selection.workloads - known)]


def make_plan(
    candidates: Sequence[RestartCandidate], live_objects: Mapping[Workload, LiveObject], snapshot: Snapshot
) -> Plan:
    """Plan the restarts, given the state of the workloads."""
    plan = Plan([], [], newest_version(snapshot))
    for candidate in candidates:
        live_object = live_objects.get(candidate.workload)
        blocker = find_blocker_by_kind(candidate) or find_blocker(candidate, live_object, snapshot)
        if blocker:
            plan.blocked.append(blocker)
        else:
            plan.restarts.append(candidate)
    return plan


def check_preconditions(snapshot: Snapshot, now: datetime.datetime) -> UnmetPrecondition | None:
    """Return why restarts would be useless now: new pods would be unprotected again, or missing."""
    diagnostics = list(check_installation(snapshot, now))
    stops = [each for each in diagnostics if each.code in _STOPS]
    if stops:
        known = [each for each in diagnostics if each.code.severity is not Severity.UNKNOWN]
        return UnmetPrecondition(f"{overall_verdict(known).sentence} {stops[0].sentence}", stops[0].advice)
    missing = [str(each.values["right"]) for each in diagnostics if each.code is Code.RIGHT_MISSING]
    missing += [each.permission for each in (snapshot.namespaces, snapshot.pods) if isinstance(each, NotPermitted)]
    if missing:
        return UnmetPrecondition(
            f"Not everything could be read: permissions missing: {'; '.join(dict.fromkeys(missing))}.",
            "obtain these permissions (--help lists all)",
            2,
        )
    versions = running_versions(snapshot)
    if len(versions) > 1:
        return UnmetPrecondition(
            f"The webhook itself is being rolled out ({', '.join(versions)}): new pods may get the older injection.",
            f"kubectl -n {snapshot.names.namespace} rollout status deployment; then run repair again",
        )
    return None
