"""Measure how the cost grows with a pod's containers and bytes, and how very large pods slow down small ones."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict
from statistics import median, quantiles
from typing import Any

from benchmarks.environment import Certificate
from benchmarks.http_client import encode_request, send
from benchmarks.load_generator import generate_load
from benchmarks.processes import usage
from benchmarks.reviews import encoded, review_of_size, with_own_template
from benchmarks.sample_sizes import SampleSizes
from benchmarks.server_process import RunningServer, read_spec, running

KB = 1000
LARGEST = 1500 * KB
CONTAINERS = (1, 3, 10, 50)
"""With 100 KB each, so that only the number of containers differs."""
SIZES = (12 * KB, 50 * KB, 100 * KB, 500 * KB, LARGEST)
"""With three containers, so that only the size differs."""
PAUSE = 0.1
"""Seconds between two of the largest reviews, which are sent along with small ones."""


def measure_pod_sizes(certificate: Certificate, sample_sizes: SampleSizes) -> dict[str, Any]:
    """Return the cost of reviews by size, and the latency of small ones with and without concurrent large ones."""
    with running(read_spec("graceful_worker"), certificate) as server:
        containers = [_cost(server, number, 100 * KB, sample_sizes.pod_size_requests) for number in CONTAINERS]
        sizes = [_cost(server, 3, size, sample_sizes.pod_size_requests) for size in SIZES]
        both = _cost(server, 50, LARGEST, sample_sizes.pod_size_requests)
        alone = asdict(generate_load(server, 8, sample_sizes.seconds))
        sent, beside = _beside_large_ones(server, sample_sizes)
    return {
        "containers": containers,
        "sizes": sizes,
        "largest": both,
        "alone": alone,
        "beside": beside,
        "large_sent": sent,
    }


def _cost(server: RunningServer, containers: int, size: int, count: int) -> dict[str, Any]:
    """Send reviews of one size, each from a different template, over one connection."""
    body = encoded(review_of_size(containers, size))
    messages = [encode_request(with_own_template(body, number)) for number in range(count)]
    times = []
    with server.connect() as connection:
        send(connection, encode_request(body))
        before = usage(server.pid)
        for data in messages:
            begin = time.perf_counter()
            send(connection, data)
            times.append((time.perf_counter() - begin) * 1000)
        used = usage(server.pid).since(before)
    return {
        "containers": containers,
        "bytes": len(body),
        "p50": median(times),
        "p99": quantiles(times, n=100)[98],
        "processor": used.processor / count * 1000,
    }


def _beside_large_ones(server: RunningServer, sample_sizes: SampleSizes) -> tuple[int, dict[str, Any]]:
    body = encoded(review_of_size(50, LARGEST))
    over = threading.Event()
    sent = 0

    def send_large_ones() -> None:
        nonlocal sent
        with server.connect() as connection:
            while not over.wait(PAUSE):
                send(connection, encode_request(with_own_template(body, sent)))
                sent += 1

    sender = threading.Thread(target=send_large_ones)
    sender.start()
    try:
        beside = asdict(generate_load(server, 8, sample_sizes.seconds))
    finally:
        over.set()
        sender.join()
    return sent, beside
