"""The result of a cell: its balance, its times, and the bounds that it breaks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from tests.node.kubelet import Event, RunningPod
from tests.proof.cell import LONG
from tests.proof.ledger import Balance, Line, balance
from tests.proof.local_cell import LocalCell
from tests.proof.scenarios import Scenario

LOOP_BOUND = 0.1
"""Seconds from the last message's end to the worker's, in loop mode."""
LAST_STEP = 20_000_000
"""Nanoseconds: the wrapper's last step is to write kill_sidecar, so a sidecar may end a moment before the wrapper's
process; on a busy machine, also before the end of that process is noticed."""
EXIT_BOUND = 10.0
"""Seconds that a framework may take to exit by itself, beyond its last message."""


@dataclass(frozen=True)
class PodRecord:
    """The times of a pod's events in nanoseconds; 0 if an event did not happen."""

    name: str
    started: int
    deleted: int
    worker_ended: int
    sidecar_ended: int
    killed: bool
    """Whether the pod was killed at the end of its grace period."""
    events: list[Event]


@dataclass(frozen=True)
class Result:
    """A cell's result; times are in seconds, the largest of all pods, and None if the scenario has no such time."""

    worker: str
    scenario: str
    protected: bool
    mode: str
    balance: Balance
    drain: float | None
    """From the deletion to the worker's end."""
    after_message: float | None
    """From the end of the last message to the worker's end, if a message was in progress at the deletion."""
    sidecar: float | None
    """From the worker's end to the sidecar's; negative if the sidecar ended first."""
    restart: float | None
    """From a failed liveness probe to the container's end."""
    exit_codes: list[int]
    error: str
    pods: list[PodRecord]
    lines: list[Line]
    broken: list[str] = field(default_factory=list)
    """The bounds that a protected pod broke."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def result_of(cell: LocalCell, scenario: Scenario, error: str = "", patience: float = 1) -> Result:
    """Return a cell's result after its scenario is over; `patience` is a factor for the bounds on a busy machine."""
    lines = cell.ledger.lines()
    pods = [_record(pod) for pod in cell.deployment.pods]
    deleted = [pod for pod in pods if pod.deleted and pod.worker_ended]
    workers = cell.status().get("workers", {})
    result = Result(
        worker=cell.worker.name,
        scenario=scenario.name,
        protected=cell.protected,
        mode=next(iter(workers.values()))["mode"] if workers else "",
        balance=balance(lines, cell.sent, cell.victims),
        drain=_largest([max(0, pod.worker_ended - pod.deleted) for pod in deleted]),
        after_message=_largest([after for pod in deleted if (after := _after_message(pod, lines)) is not None]),
        sidecar=_largest([pod.sidecar_ended - max(pod.worker_ended, pod.deleted) for pod in deleted]),
        restart=_largest([seconds for pod in cell.deployment.pods for seconds in _restarts(pod)]),
        exit_codes=[code for pod in cell.deployment.pods for code in pod.exit_codes("worker")],
        error=error,
        pods=pods,
        lines=lines,
    )
    result.broken.extend(_broken(result, scenario, cell.worker.idle_seconds, patience) if cell.protected else [])
    return result


def _record(pod: RunningPod) -> PodRecord:
    worker, sidecar = pod.state("worker"), pod.state("sidecar")
    return PodRecord(
        name=pod.name,
        started=next((event.when for event in pod.events if event.what == "started"), 0),
        deleted=pod.deleted_at,
        worker_ended=worker.ended,
        sidecar_ended=sidecar.ended,
        killed=any(event.what.startswith("killed") for event in pod.events),
        events=list(pod.events),
    )


def _after_message(pod: PodRecord, lines: list[Line]) -> int | None:
    ends = [line.when for line in lines if line.pod == pod.name and line.event == "end"]
    if not ends or max(ends) < pod.deleted:
        return None
    return pod.worker_ended - max(ends)


def _restarts(pod: RunningPod) -> list[int]:
    """Return for each failed liveness probe the nanoseconds until its container ended."""
    taken = []
    for failed in pod.events:
        if failed.what == "liveness probe failed":
            ends = [e.when for e in pod.events if e.container == failed.container and e.what.startswith("ended")]
            taken += [end - failed.when for end in ends if end > failed.when][:1]
    return taken


def _largest(nanoseconds: list[int]) -> float | None:
    return round(max(nanoseconds) / 1e9, 4) if nanoseconds else None


def _broken(result: Result, scenario: Scenario, idle_seconds: float, patience: float) -> list[str]:
    """Return the bounds that a protected pod broke."""
    broken = [result.error] if result.error else []
    count = result.balance
    kinds = ("lost", "repeated", "missing", "interrupted")
    counts = {kind: getattr(count, kind) for kind in kinds}
    broken += [f"{len(jobs)} {kind}: {' '.join(jobs[:5])}" for kind, jobs in counts.items() if jobs]
    longest = idle_seconds + 1 + scenario.start_up if scenario.idle and result.mode == "loop" else LONG + EXIT_BOUND
    after_message = result.after_message if result.mode == "loop" else None
    bounds = {
        "the worker's end after the last message": (after_message, LOOP_BOUND),
        "the worker's end after the deletion": (result.drain, longest),
        "the sidecar's end after the worker's": (result.sidecar, scenario.sidecar_bound),
        "the container's end after its liveness failure": (result.restart, scenario.restart_bound),
    }
    for what, (seconds, bound) in bounds.items():
        if seconds is not None and bound is not None and seconds > bound * patience:
            broken.append(f"{what}: {seconds:.3f} s, at most {bound:g} s")
    for pod in result.pods:
        broken += _broken_of_pod(pod, result, scenario, patience)
    broken += [f"{pod.name} was killed at the end of its grace period" for pod in result.pods if pod.killed]
    broken += [f"{pod.name} did not end" for pod in result.pods if pod.deleted and not pod.worker_ended]
    return broken


def _broken_of_pod(pod: PodRecord, result: Result, scenario: Scenario, patience: float) -> list[str]:
    """Return the errors of a single pod, which a maximum over all pods would hide."""
    broken = []
    if scenario.sidecar_bound and pod.deleted and pod.sidecar_ended < pod.worker_ended - LAST_STEP * patience:
        broken.append(f"{pod.name}: the sidecar left before the worker, or did not end")
    hook = next((e.when for e in pod.events if e.container == "worker" and e.what.startswith("hook ends")), 0)
    late = [line.when for line in result.lines if line.pod == pod.name and line.event == "start" and line.when > hook]
    restarted = any(event.what == "liveness probe failed" for event in pod.events)
    # A run that began before the kill file may still fetch its one message.
    if result.mode == "loop" and hook and pod.deleted and not restarted and len(late) > 1:
        after = (min(late) - hook) / 1e9
        broken.append(f"{pod.name}: {len(late)} messages began after the kill file, {after:.2f} s")
    return broken
