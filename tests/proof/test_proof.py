"""A part of the matrix, small enough for every run of the tests; `make proof` runs the full matrix, with its bounds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from tests.proof.matrix import Task, refusal, run_cell, running_admission
from tests.proof.results import Result
from tests.proof.scenarios import SCENARIOS
from tests.proof.workers import all_workers, load_worker

AT_ONCE = 4
BUSY = 5.0
"""The factor for the bounds, because other tests run at the same time."""
LARGE = ("rollout", "scale-down")
EVERY_SCENARIO_OF = "plain"
DELETIONS = [(worker.name, "deletion") for worker in all_workers()]
DISTURBED = [
    *((EVERY_SCENARIO_OF, scenario.name) for scenario in SCENARIOS if scenario.name not in (*LARGE, "deletion")),
    ("celery", "second-term"),
    ("celery", "by-hand"),
    ("rq", "second-term"),
    ("sidekiq", "crashes"),
    ("static", "worker-liveness"),
    ("native", "sidecar-liveness"),
    ("native", "restricted"),
]
LONGEST = [("symfony", "young"), ("symfony", "worker-liveness")]
"""An idle run of Symfony takes a minute, so these start first."""
PROTECTED = [Task(*cell, protected=True, patience=BUSY) for cell in (*LONGEST, *DELETIONS, *DISTURBED)]
UNPATCHED = Task(EVERY_SCENARIO_OF, "deletion", protected=False)

pytestmark = [pytest.mark.skipif(bool(refusal()), reason=refusal()), pytest.mark.xdist_group("proof")]


@pytest.fixture(scope="module")
def cells() -> Iterator[dict[Task, Future[Result]]]:
    """Run all cells of this part, some in parallel; each test waits for its own cell."""
    tasks = [task for task in (*PROTECTED, UNPATCHED) if not load_worker(task.worker).missing()]
    with running_admission() as admission, ProcessPoolExecutor(AT_ONCE) as pool:
        yield {task: pool.submit(run_cell, task, admission) for task in tasks}


def result(cells: dict[Task, Future[Result]], task: Task) -> Result:
    missing = load_worker(task.worker).missing()
    if missing:
        pytest.skip(missing)
    return cells[task].result()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("task", PROTECTED, ids=lambda task: f"{task.worker}-{task.scenario}")
def test_a_protected_pod_loses_and_repeats_no_message_and_keeps_the_bounds(
    cells: dict[Task, Future[Result]], task: Task
) -> None:
    assert result(cells, task).broken == []


@pytest.mark.timeout(600)
def test_the_same_pod_loses_its_message_if_it_is_not_patched(cells: dict[Task, Future[Result]]) -> None:
    assert len(result(cells, UNPATCHED).balance.lost) == 1
