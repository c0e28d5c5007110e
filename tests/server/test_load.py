"""Many clients, large reviews, and memory over time."""

from __future__ import annotations

import asyncio
import json
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.rendered import installed, select_one

from .process import Server, Servers
from .samples import Review, fresh, large, read_review, uid_of
from .wire import Connection, get, post

Measure = Callable[[str], None]
AT_ONCE = 300
LARGE = 3 * 1024 * 1024
LARGE_ONES = 20
MEMORY_REQUESTS = 5000
MEMORY_GROWTH_KIB = 10 * 1024


async def review_on_a_new_connection(server: Server, body: bytes) -> dict[str, object]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=server.trust)
    try:
        writer.write(post(body, {"content-type": "application/json", "connection": "close"}))
        head, _, content = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    assert head.startswith(b"HTTP/1.1 200 ")
    response: dict[str, object] = json.loads(content)["response"]
    return response


def test_hundreds_of_concurrent_new_connections_all_get_the_right_response(
    patient_server: Server, messenger: Review, measure: Measure
) -> None:
    # The patient server: this client's first handshake completes only with its last one. On a busy machine, that takes
    # longer than the default time limit for a head.
    reviews = [fresh(messenger) for _ in range(AT_ONCE)]

    async def review_all() -> list[dict[str, object]]:
        bodies = (json.dumps(review).encode() for review in reviews)
        return await asyncio.gather(*(review_on_a_new_connection(patient_server, body) for body in bodies))

    begin = time.perf_counter()
    responses = asyncio.run(review_all())
    seconds = time.perf_counter() - begin
    measure(f"{AT_ONCE} new TLS connections at once, a review each: {seconds:.2f} s")
    assert [response["uid"] for response in responses] == [uid_of(review) for review in reviews]
    assert all("patch" in response for response in responses)


def test_small_reviews_do_not_wait_long_behind_large_ones(server: Server, messenger: Review, measure: Measure) -> None:
    request = post(large(messenger, LARGE))
    small = post(json.dumps(messenger).encode())
    alone = times_of(server, small, until=lambda: True)
    statuses: list[int] = []

    def send_large_ones() -> None:
        with server.connect() as connection:
            statuses.extend(connection.exchange(request).status for _ in range(LARGE_ONES))

    sender = threading.Thread(target=send_large_ones)
    begin = time.perf_counter()
    sender.start()
    beside = times_of(server, small, until=lambda: not sender.is_alive())
    sender.join()
    together = time.perf_counter() - begin
    measure(f"a small review alone: {summary(alone)}")
    measure(f"a small review beside {LARGE_ONES} of {LARGE / 1024 / 1024:.0f} MiB: {summary(beside)}")
    assert statuses == [200] * LARGE_ONES
    assert max(beside) < max(2, together / 2)


def times_of(server: Server, request: bytes, until: Callable[[], bool]) -> list[float]:
    """Send a request at least 100 times, and return how many seconds each one took."""
    times: list[float] = []
    with server.connect() as connection:
        while len(times) < 100 or not until():
            begin = time.perf_counter()
            assert connection.exchange(request).status == 200
            times.append(time.perf_counter() - begin)
    return times


def summary(times: list[float]) -> str:
    return f"median {statistics.median(times) * 1000:.2f} ms, longest {max(times) * 1000:.1f} ms, of {len(times)}"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the size of a process is read from /proc")
def test_an_idle_server_uses_less_memory_than_its_pod_requests(servers: Servers, measure: Measure) -> None:
    """Otherwise the kubelet evicts it first when its node runs out of memory."""
    (container,) = select_one(installed("default"), "Deployment")["spec"]["template"]["spec"]["containers"]
    requested = int(container["resources"]["requests"]["memory"].removesuffix("Mi")) * 1024
    resident = servers.start().resident_kib
    measure(f"idle: {resident} KiB of {requested}")
    assert resident < requested


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the size of a process is read from /proc")
def test_memory_does_not_grow(servers: Servers, measure: Measure) -> None:
    server = servers.start(log_level="error")
    names = ("symfony-messenger", "annotation-invalid", "web-server", "unicode")
    requests = [post(json.dumps(read_review(name)).encode()) for name in names]
    requests += [post(b"{"), get("/metrics"), get("/unknown")]

    def send(number: int) -> None:
        # A new connection after every 50 requests, because each connection has its own state.
        for start in range(0, number, 50):
            with server.connect() as connection:
                exchange_all(connection, [requests[(start + offset) % len(requests)] for offset in range(50)])

    send(1500)
    before = server.resident_kib
    begin = time.perf_counter()
    send(MEMORY_REQUESTS)
    rate = MEMORY_REQUESTS / (time.perf_counter() - begin)
    growth = server.resident_kib - before
    measure(f"memory: {before} KiB, {growth:+} KiB after {MEMORY_REQUESTS} more requests ({rate:.0f} a second)")
    assert growth < MEMORY_GROWTH_KIB


def exchange_all(connection: Connection, requests: list[bytes]) -> None:
    for request in requests:
        assert connection.exchange(request).status < 500
