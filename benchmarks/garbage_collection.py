"""Measure how long garbage collections stop the webhook while it serves."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

from benchmarks.environment import BENCH, Certificate
from benchmarks.load_generator import generate_load
from benchmarks.sample_sizes import SampleSizes
from benchmarks.server_process import read_spec, running

FILE = BENCH / "garbage-collection.json"


def measure_garbage_collection(certificate: Certificate, sample_sizes: SampleSizes) -> dict[str, Any]:
    """Record collections while serving; only those under load count, not those of imports."""
    ours = read_spec("graceful_worker")
    recorded = ("{python}/python", "-m", "benchmarks.garbage_collection_recorder", str(FILE), *ours.command[1:])
    with running(replace(ours, command=recorded), certificate) as server:
        begin = time.time()
        measured = generate_load(server, 8, 2 * sample_sizes.seconds)
        end = time.time()
    pauses = [(generation, ms) for when, generation, ms in json.loads(FILE.read_text()) if begin <= when <= end]
    generations: dict[str, Any] = {}
    for generation in (0, 1, 2):
        times = [ms for number, ms in pauses if number == generation]
        generations[str(generation)] = {"count": len(times), "longest": max(times, default=0.0), "sum": sum(times)}
    return {"requests": measured.requests, "seconds": measured.seconds, "generations": generations}
