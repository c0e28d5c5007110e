"""Compares the servers: each is verified and driven in turn, so that a slow minute of the machine hits all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from benchmarks.drive import drive, driver
from benchmarks.effort import Effort
from benchmarks.places import Certificate
from benchmarks.reviews import ALIKE, RELEASE, UNLIKE, reviews
from benchmarks.servers import Contender, running
from benchmarks.verification import verify

CONNECTIONS = (8, 1, 32)
_SAID = ("name", "title", "what", "role", "is_given")


def compare(certificate: Certificate, effort: Effort, who: list[Contender]) -> dict[str, Any]:
    """Return every run of every round."""
    turns = [(number, one) for number in range(effort.rounds) for one in who]
    return {
        "contenders": [
            {key: getattr(one, key) for key in ("name", "title", "what", "role", "is_given")} for one in who
        ],
        "runs": [run for number, one in turns for run in _turn(certificate, effort, one, number)],
    }


def _turn(certificate: Certificate, effort: Effort, who: Contender, number: int) -> Iterator[dict[str, Any]]:
    samples = reviews()
    with running(who, certificate) as server:
        tls = verify(server, samples)
        about = {"contender": who.name, "round": number, "start": server.start_seconds, "tls": tls}
        drive(server, CONNECTIONS[0], 1)  # the caches fill
        # The others in contenders/ remember nothing of a pod, so likeness makes no difference to them.
        kinds = (ALIKE, RELEASE, UNLIKE) if driver() == "wrk" and (who.role == "ours" or who.is_given) else (ALIKE,)
        for likeness in kinds:
            for connections in CONNECTIONS:
                measured = asdict(drive(server, connections, effort.seconds, likeness))
                yield about | {"verified": len(samples), "likeness": likeness} | measured
