"""Compare the servers: each is verified and measured in turn, so that a slow minute of the machine hits them all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from benchmarks.environment import Certificate
from benchmarks.load_generator import generate_load, load_generator
from benchmarks.reviews import ALIKE, RELEASE, UNLIKE, reviews
from benchmarks.sample_sizes import SampleSizes
from benchmarks.server_process import ServerSpec, running
from benchmarks.verification import verify

CONNECTIONS = (8, 1, 32)
_SPEC_FIELDS = ("name", "title", "what", "role", "is_from_command_line")


def compare(certificate: Certificate, sample_sizes: SampleSizes, specs: list[ServerSpec]) -> dict[str, Any]:
    """Return every run of every round."""
    turns = [(number, spec) for number in range(sample_sizes.rounds) for spec in specs]
    return {
        "contenders": [{key: getattr(spec, key) for key in _SPEC_FIELDS} for spec in specs],
        "runs": [run for number, spec in turns for run in _turn(certificate, sample_sizes, spec, number)],
    }


def _turn(
    certificate: Certificate, sample_sizes: SampleSizes, spec: ServerSpec, number: int
) -> Iterator[dict[str, Any]]:
    samples = reviews()
    with running(spec, certificate) as server:
        tls = verify(server, samples)
        about = {"contender": spec.name, "round": number, "start": server.start_seconds, "tls": tls}
        generate_load(server, CONNECTIONS[0], 1)  # the caches fill
        # The other servers cache nothing, so similarity makes no difference to them.
        kinds = (
            (ALIKE, RELEASE, UNLIKE)
            if load_generator() == "wrk" and (spec.role == "ours" or spec.is_from_command_line)
            else (ALIKE,)
        )
        for likeness in kinds:
            for connections in CONNECTIONS:
                measured = asdict(generate_load(server, connections, sample_sizes.seconds, likeness))
                yield about | {"verified": len(samples), "likeness": likeness} | measured
