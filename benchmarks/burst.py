"""A rollout that arrives all at once: 500 new TLS connections in the same moment, each with one pod."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import uvloop

from benchmarks.environment import Certificate
from benchmarks.http_client import admission_response, encode_request
from benchmarks.reviews import encoded, reviews
from benchmarks.sample_sizes import SampleSizes
from benchmarks.server_process import RunningServer, read_spec, running

CONNECTIONS = 500


def measure_bursts(certificate: Certificate, sample_sizes: SampleSizes) -> list[dict[str, Any]]:
    """Return for each burst how many requests got a response, and when.

    The client shares no core with the server, but its own handshakes are in these times.
    """
    with running(read_spec("graceful_worker"), certificate) as server:
        return [uvloop.run(_burst(server)) for _ in range(sample_sizes.bursts)]


async def _burst(server: RunningServer) -> dict[str, Any]:
    samples = reviews()
    messages = [(review["request"]["uid"], encode_request(encoded(review))) for review in samples]
    begin = time.monotonic()
    outcomes = await asyncio.gather(
        *(_one(server, *messages[number % len(messages)]) for number in range(CONNECTIONS)), return_exceptions=True
    )
    times = sorted(outcome - begin for outcome in outcomes if isinstance(outcome, float))
    failures = [type(outcome).__name__ for outcome in outcomes if not isinstance(outcome, float)]
    if not times:
        raise SystemExit(f"no connection of the burst was answered: {set(failures)}")
    return {"answered": len(times), "failures": failures, "median": times[len(times) // 2], "last": times[-1]}


async def _one(server: RunningServer, uid: str, data: bytes) -> float:
    """Send one review over its own connection; return when its response arrived."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.port, ssl=server.trust, server_hostname="127.0.0.1", ssl_handshake_timeout=60
    )
    try:
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        response = admission_response(await reader.readexactly(length))
        answered = time.monotonic()
        if response["uid"] != uid or "patch" not in response:
            raise ValueError("another answer")
        return answered
    finally:
        writer.transport.abort()
