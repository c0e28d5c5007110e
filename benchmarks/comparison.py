"""Compares the servers: each is verified and driven in turn, so that a slow minute of the machine hits all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from benchmarks.drive import drive, driver
from benchmarks.effort import Effort
from benchmarks.places import Certificate
from benchmarks.reviews import reviews
from benchmarks.servers import Contender, running
from benchmarks.verification import verify

CONNECTIONS = (8, 1, 32)
FRESH = "fresh"
"""The name of the runs in which every pod comes from a template that was never seen before."""


def compare(certificate: Certificate, effort: Effort, who: list[Contender]) -> dict[str, Any]:
    """Return every run of every round."""
    turns = [(number, one) for number in range(effort.rounds) for one in who]
    return {
        "contenders": [{key: getattr(one, key) for key in ("name", "title", "what", "role")} for one in who],
        "runs": [run for number, one in turns for run in _turn(certificate, effort, one, number)],
    }


def _turn(certificate: Certificate, effort: Effort, who: Contender, number: int) -> Iterator[dict[str, Any]]:
    samples = reviews()
    with running(who, certificate) as server:
        tls = verify(server, samples)
        about = {"contender": who.name, "round": number, "start": server.start_seconds, "tls": tls}
        drive(server, CONNECTIONS[0], 1)  # the caches fill
        for connections in CONNECTIONS:
            yield about | {"verified": len(samples)} | asdict(drive(server, connections, effort.seconds))
        if who.role == "ours" and driver() == "wrk":
            # Under a name of its own: it is compared with nothing.
            yield about | {"contender": FRESH} | asdict(drive(server, CONNECTIONS[0], effort.seconds, fresh=True))
