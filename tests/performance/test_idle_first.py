"""The model of docs/design/idle-workers-first.md chooses as the ReplicaSet controller does, and gives known results."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest

from benchmarks.idle_first import (
    BLIND,
    DELAYS,
    DOCUMENT,
    FRESH,
    KNOWLEDGE,
    LONG,
    MESSAGES,
    UTILISATIONS,
    VICTIMS,
    WORKERS,
    Knowledge,
    Messages,
    Worker,
    queue_outcomes,
    queue_row,
    saved_row,
    scale_down,
    sooner_row,
    steady,
    steady_outcomes,
    steady_row,
    uniform,
    victims,
)

CURRENT = Knowledge("current", lambda _: 0.0)


@pytest.fixture
def chance() -> Random:
    return Random(13)


@pytest.mark.parametrize("busy", range(WORKERS + 1))
def test_with_current_deletion_costs_idle_workers_are_removed_before_busy_ones(busy: int, chance: Random) -> None:
    known = [index < busy for index in range(WORKERS)]
    for _ in range(50):
        chance.shuffle(known)
        chosen = victims(known, chance)
        assert len(set(chosen)) == VICTIMS
        assert sum(known[index] for index in chosen) == max(0, busy - (WORKERS - VICTIMS))


@pytest.mark.parametrize("utilisation", UTILISATIONS)
def test_the_model_removes_idle_workers_before_busy_ones_too(utilisation: float, chance: Random) -> None:
    workers = steady(uniform("10 s", 10), utilisation, 4000, chance)
    for moment in range(400, 4000, 20):
        busy = sum(worker.left(moment) > 0 for worker in workers)
        outcome = scale_down(workers, moment, CURRENT, chance)
        assert outcome.busy * VICTIMS == pytest.approx(max(0, busy - (WORKERS - VICTIMS)))


@pytest.mark.parametrize("messages", MESSAGES, ids=lambda messages: messages.name)
def test_message_lengths_have_the_stated_mean_and_maximum(messages: Messages, chance: Random) -> None:
    lengths = [messages.draw(chance) for _ in range(200_000)]
    assert fmean(lengths) == pytest.approx(messages.mean, rel=0.1)
    assert max(lengths) <= messages.longest


@pytest.mark.parametrize("utilisation", UTILISATIONS)
def test_without_knowledge_the_share_of_busy_victims_is_that_of_busy_workers(utilisation: float) -> None:
    outcomes = steady_outcomes(uniform("60 s", 60), utilisation, 500)
    assert fmean(outcome.busy for outcome in outcomes[BLIND.name]) == pytest.approx(utilisation, abs=0.05)


def test_a_busy_victim_has_half_a_message_left_and_more_if_lengths_differ() -> None:
    """By renewal theory, it is E(X²) / 2 E(X): 32.5 s if messages take 30 to 90 s."""
    outcomes = steady_outcomes(uniform("60 s", 60), 0.6, 1000)[BLIND.name]
    left = sum(outcome.held for outcome in outcomes) / sum(outcome.busy * VICTIMS for outcome in outcomes)
    assert left == pytest.approx(32.5, rel=0.05)


def test_knowledge_that_is_older_than_a_message_does_not_help() -> None:
    outcomes = steady_outcomes(uniform("1 s", 1), 0.6, 1000)
    blind, fresh, old = (fmean(o.busy for o in outcomes[name]) for name in (BLIND.name, FRESH.name, "every 60 s"))
    assert fresh < blind - 0.1
    assert old == pytest.approx(blind, abs=0.05)


def test_long_after_the_last_message_no_worker_is_busy() -> None:
    for outcomes in queue_outcomes(uniform("60 s", 60), DELAYS[-1], in_work=False, count=50).values():
        assert all(outcome.busy == outcome.last == outcome.held == 0 for outcome in outcomes)


def test_a_worker_is_busy_from_the_start_to_the_end_of_a_message() -> None:
    worker = Worker()
    worker.take(10, 5)
    worker.take(20, 1)
    assert [worker.left(now) for now in (9, 10, 14, 15, 20.5, 21)] == [0, 5, 1, 0, 0.5, 0]


def test_the_document_has_the_results_of_the_model() -> None:
    """One row of each table is computed again."""
    lines = DOCUMENT.read_text().splitlines()
    assert f"| {' | '.join(steady_row(MESSAGES[2], UTILISATIONS[1]))} |" in lines, (
        "python -m benchmarks.idle_first --write"
    )
    assert f"| {' | '.join(queue_row(LONG[0], DELAYS[0], in_work=False))} |" in lines
    assert f"| {' | '.join(sooner_row(LONG[0], in_work=True))} |" in lines
    assert f"| {' | '.join(saved_row(MESSAGES[0]))} |" in lines
    columns = len(KNOWLEDGE) + 2
    rows = [line for line in lines if line.count("|") == columns + 1 and " · " in line]
    assert len(rows) == len(MESSAGES) * len(UTILISATIONS) + 2 * len(LONG) * len(DELAYS)
