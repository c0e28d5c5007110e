"""Measure where the processor time of one request goes.

`python -m benchmarks.cpu_breakdown FILE` writes that down, as a baseline for a later comparison.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.environment import BENCH, PYTHON, ROOT, SERVER_CORE, Certificate, make_certificate
from benchmarks.load_generator import generate_load, write_bodies
from benchmarks.machine import commit
from benchmarks.reviews import UNLIKE
from benchmarks.sample_sizes import FULL, SampleSizes
from benchmarks.server_process import read_spec, running

REMAINDER = "HTTP, event loop, kernel"
"""The remainder: the total less every step that is measured separately."""
BASELINE = Path(__file__).with_name("cpu-baseline.json")


def measure_cpu_breakdown(certificate: Certificate, sample_sizes: SampleSizes) -> dict[str, Any]:
    """Measure the server's processor time for a pod of a template that it never saw, and the stages of that.

    `alike` is the whole for a pod that is like an earlier one.
    """
    with running(read_spec("graceful_worker"), certificate) as server:
        generate_load(server, 8, 1)
        alike = generate_load(server, 8, sample_sizes.seconds)
        whole = generate_load(server, 8, sample_sizes.seconds, UNLIKE)
    file, log = BENCH / "step-times.json", BENCH / "step-times.log"
    command = ["taskset", "--cpu-list", str(SERVER_CORE), str(PYTHON / "python")]
    command += ["-m", "benchmarks.step_times", str(file), str(sample_sizes.step_repeats)]
    with log.open("wb") as output:
        subprocess.run(command, cwd=ROOT, check=True, stdout=output)
    log.unlink()
    stages: dict[str, float] = json.loads(file.read_text())
    stages[REMAINDER] = whole.processor_microseconds - sum(stages.values())
    return {
        "commit": commit(),
        "per_second": whole.per_second,
        "alike": alike.processor_microseconds,
        "whole": whole.processor_microseconds,
        "kernel": whole.processor_microseconds * whole.kernel_share,
        "stages": stages,
    }


if __name__ == "__main__":
    write_bodies()
    Path(sys.argv[1]).write_text(json.dumps(measure_cpu_breakdown(make_certificate(), FULL), indent=2) + "\n")
