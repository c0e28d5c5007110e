"""How many samples are taken: enough for the document in ten minutes, or just enough to see that everything works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SampleSizes:
    """How often and how long each part of the benchmarks measures; times are in seconds."""

    rounds: int
    seconds: float
    starts: int
    bursts: int
    pod_size_requests: int
    step_repeats: int
    soak_requests: int
    soak_seconds: float
    wrapper_rounds: int
    cluster_rounds: int


FULL = SampleSizes(
    rounds=3,
    seconds=4,
    starts=7,
    bursts=3,
    pod_size_requests=100,
    step_repeats=30,
    soak_requests=1_000_000,
    soak_seconds=120,
    wrapper_rounds=3,
    cluster_rounds=3,
)
QUICK = SampleSizes(
    rounds=1,
    seconds=1,
    starts=2,
    bursts=1,
    pod_size_requests=20,
    step_repeats=5,
    soak_requests=20_000,
    soak_seconds=5,
    wrapper_rounds=1,
    cluster_rounds=1,
)
