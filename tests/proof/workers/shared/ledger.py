"""The job of every worker of the proof, and the ledger to which it writes."""

import asyncio
import os
import time
from collections.abc import Iterator

NAP = 0.05


def orders(arguments: list[str]) -> Iterator[tuple[str, float, bool]]:
    """A job, parsed from ID:SECONDS or ID:SECONDS:crash."""
    for argument in arguments:
        job, seconds, *crash = argument.split(":")
        yield job, float(seconds), crash == ["crash"]


def handle(job: str, seconds: float, crash: bool) -> None:
    """Work until a deadline: a signal can end a sleep early, but not the job."""
    record("start", job)
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, NAP))
    finish(job, crash)


async def handle_async(job: str, seconds: float, crash: bool) -> None:
    """The same for an event loop, which a sleeping thread would block."""
    record("start", job)
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        await asyncio.sleep(min(left, NAP))
    finish(job, crash)


def finish(job: str, crash: bool) -> None:
    if not crash:
        record("end", job)
        return
    record("crash", job)
    os._exit(70)  # like a segfault: no exception, no exit handler


def record(event: str, job: str) -> None:
    """Write one line with one write, so that the lines of several processes never mix."""
    line = f"{time.monotonic_ns()} {event} {job} {os.environ['HOSTNAME']}\n"
    ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(ledger, line.encode())
    finally:
        os.close(ledger)
