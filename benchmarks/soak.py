"""Whether memory stays constant: a million requests to one process, whose memory is read after each slice."""

from __future__ import annotations

from typing import Any

from benchmarks.environment import Certificate
from benchmarks.load_generator import generate_load, load_generator
from benchmarks.processes import resident_mib
from benchmarks.reviews import ALIKE, UNLIKE
from benchmarks.sample_sizes import SampleSizes
from benchmarks.server_process import read_spec, running

SLICE = 10
"""Maximum seconds; at least three slices, because the first one of each kind of pods does not count."""


def soak(certificate: Certificate, sample_sizes: SampleSizes) -> dict[str, Any]:
    """Send requests until there are enough, or the time is over; the result contains their number."""
    with running(read_spec("graceful_worker"), certificate) as server:
        series = [(0, resident_mib(server.pid))]
        seconds, failures = 0.0, 0
        while series[-1][0] < sample_sizes.soak_requests and seconds < sample_sizes.soak_seconds:
            # In every other slice, every pod is new: caches must stay bounded, too.
            likeness = UNLIKE if len(series) % 2 == 0 and load_generator() == "wrk" else ALIKE
            measured = generate_load(server, 8, min(SLICE, sample_sizes.soak_seconds / 3), likeness)
            seconds += measured.seconds
            failures += measured.failures
            series.append((series[-1][0] + measured.requests, measured.resident))
    return {"requests": series[-1][0], "seconds": seconds, "failures": failures, "resident": series}
