"""Run cells of the matrix, several at once, each in its own process, with one running webhook."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from certs.authority import LOCAL_HOSTS, issue_certificate
from demo.client import Webhook
from tests.node import runtime
from tests.proof import broker
from tests.proof.admission import Admission, pods_api
from tests.proof.local_cell import LocalCell
from tests.proof.results import Result, result_of
from tests.proof.scenarios import scenario
from tests.proof.workers import load_worker
from tests.server.process import Servers


@dataclass(frozen=True)
class Task:
    """A cell to run, with the names of its worker and its scenario."""

    worker: str
    scenario: str
    protected: bool
    patience: float = 1
    """The factor for the bounds, because other processes may use the machine at the same time."""


def refusal() -> str:
    """Return why the matrix cannot run on this machine; empty if it can."""
    return runtime.refusal() or broker.refusal()


@contextmanager
def running_webhook(kubeconfig: str) -> Iterator[Webhook]:
    """Run the webhook as shipped, with its own certificate; the kubeconfig names the API server for its pod lookups."""
    with tempfile.TemporaryDirectory(prefix="proof-webhook-") as name:
        directory = Path(name)
        issue_certificate(LOCAL_HOSTS).write(directory / "certs")
        servers = Servers(directory, directory / "certs", {"KUBECONFIG": kubeconfig})
        try:
            server = servers.start(drain_seconds=0, eviction_guard=True)
            yield Webhook(f"https://127.0.0.1:{server.port}", directory / "certs" / "ca.crt")
        finally:
            servers.stop()


@contextmanager
def running_admission() -> Iterator[Admission]:
    """Run the webhook, and the API from which it reads pods."""
    with tempfile.TemporaryDirectory(prefix="proof-admission-") as name:
        kubeconfig = Path(name) / "kubeconfig"
        with pods_api(kubeconfig) as api_server, running_webhook(str(kubeconfig)) as webhook:
            yield Admission(webhook, api_server)


def run_cell(task: Task, admission: Admission) -> Result:
    """Run one cell; an error becomes part of its result."""
    with tempfile.TemporaryDirectory(prefix="proof-", ignore_cleanup_errors=True) as name:
        # Accessible to every user of the containers.
        Path(name).chmod(0o755)
        plan = scenario(task.scenario)
        cell = LocalCell(load_worker(task.worker), admission, Path(name) / "cell", protected=task.protected)
        error = ""
        try:
            plan.run(cell)
        except Exception as failure:  # one cell must not end a matrix that takes an hour
            error = "".join(traceback.format_exception_only(failure)).strip()
        try:
            return result_of(cell, plan, error, task.patience)
        finally:
            cell.close()


def run(tasks: Iterable[Task], admission: Admission, at_once: int) -> Iterator[Result]:
    """Run cells, some in parallel, the large ones one at a time; yield each result when its cell ends."""
    tasks = list(tasks)
    for alone, processes in ((True, 1), (False, at_once)):
        with ProcessPoolExecutor(processes) as pool:
            futures = [
                pool.submit(run_cell, task, admission) for task in tasks if scenario(task.scenario).alone is alone
            ]
            for future in as_completed(futures):
                yield future.result()
