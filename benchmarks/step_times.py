"""Measure each step between a request and its response inside the process: `python -m benchmarks.step_times FILE N`.

It is a program of its own, so that its log goes where the server's goes, and nothing else is in its memory.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.environment import BENCH, Certificate
from benchmarks.http_client import encode_request
from benchmarks.reviews import encoded, reviews, with_own_template
from webhook.core.decision import decide
from webhook.core.patch.pod_patch import emit
from webhook.core.pod import Pod
from webhook.core.policy import Policy
from webhook.server.admission_review import encode_response, read_review, review
from webhook.server.application import create_application
from webhook.server.json_log import configure_logs

POLICY = Policy()
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "POST",
    "scheme": "https",
    "path": "/mutate",
    "raw_path": b"/mutate",
    "query_string": b"timeout=5s",
    "root_path": "",
    "client": ("127.0.0.1", 40000),
    "server": ("127.0.0.1", 8443),
}


def microseconds(work: Callable[[Any], object], passes: Iterable[Sequence[Any]]) -> float:
    """Return the processor time of a step for one of its inputs: the median of all passes."""
    times = []
    for inputs in passes:
        begin = time.process_time_ns()
        for item in inputs:
            work(item)
        times.append((time.process_time_ns() - begin) / len(inputs) / 1000)
    return median(times)


def core_step_times(bodies: list[bytes], repeats: int) -> dict[str, float]:
    """Measure the steps of the core, each with the result of the step before."""
    requests = [read_review(body) for body in bodies]
    pods = [request.object for request in requests if isinstance(request.object, Pod)]
    plans = [(pod, plan) for pod in pods if (plan := decide(pod, POLICY).plan) is not None]
    verdicts = [(request, review(request, POLICY)) for request in requests]
    parse = microseconds(read_review, [bodies] * repeats)
    decided = microseconds(lambda pod: decide(pod, POLICY), [pods] * repeats)
    emitted = microseconds(lambda pair: emit(*pair), [plans] * repeats)
    reviewed = microseconds(lambda request: review(request, POLICY), [requests] * repeats)
    answered = microseconds(lambda pair: encode_response(*pair), [verdicts] * repeats)
    # Besides deciding and encoding, a review is recorded.
    return {"parse": parse, "decide": decided, "emit": emitted, "encode": reviewed - decided - emitted + answered}


def application_microseconds(bodies: list[bytes], repeats: int) -> float:
    """Measure the whole application, its log and metrics included, called as an HTTP server calls it."""
    application = create_application(POLICY)
    loop = asyncio.new_event_loop()

    async def send(message: dict[str, Any]) -> None:
        if message.get("status", 200) != 200:
            raise SystemExit(f"the application answers with {message}")

    def call(body: bytes) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        loop.run_until_complete(application({**SCOPE, "headers": headers}, receive, send))  # type: ignore[arg-type]

    # An empty turn of the event loop is not part of the application.
    async def nothing(_: bytes) -> None:
        pass

    empty = microseconds(lambda body: loop.run_until_complete(nothing(body)), [bodies] * repeats)
    return microseconds(call, ([with_own_template(body, turn) for body in bodies] for turn in range(repeats))) - empty


def tls_microseconds(bodies: list[bytes], repeats: int) -> float:
    """Measure OpenSSL in the server: a request is decrypted, a response encrypted; no handshake, no socket."""
    certificate = Certificate(BENCH / "certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    trust = ssl.create_default_context(cafile=certificate.ca)
    client = trust.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    requests = [encode_request(body) for body in bodies]
    answers = [encode_response(read, review(read, POLICY)) for read in map(read_review, bodies)]
    passes = []
    for _ in range(repeats):
        for data in requests:
            client.write(data)
        begin = time.process_time_ns()
        for data, content in zip(requests, answers, strict=True):
            left = len(data)
            while left > 0:
                left -= len(server.read(left))
            server.write(content)
        sealed = to_client.read()
        passes.append((time.process_time_ns() - begin) / len(bodies) / 1000)
        to_client.write(sealed)
        left = sum(map(len, answers))
        while left > 0:
            left -= len(client.read(left))
    return median(passes)


def main(file: Path, repeats: int) -> None:
    """Measure everything, and write the results."""
    configure_logs("info")
    bodies = [encoded(review) for review in reviews()]
    stages = core_step_times(bodies, repeats)
    stages["framework"] = application_microseconds(bodies, repeats) - sum(stages.values())
    stages["TLS"] = tls_microseconds(bodies, repeats)
    file.write_text(json.dumps(stages))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
