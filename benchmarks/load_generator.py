"""Runs wrk, or oha if there is no wrk, against a server, and reads what they and the kernel measured."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environment import BENCH
from benchmarks.processes import resident_mib, usage
from benchmarks.reviews import ALIKE, encoded, reviews
from benchmarks.server_process import RunningServer, on_client_core

SCRIPT = Path(__file__).with_name("load_generator.lua")
BODIES = BENCH / "bodies"


class NoLoadGenerator(SystemExit):
    """No load generator is installed."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The measurements of one run; latencies in milliseconds, memory in MiB."""

    connections: int
    requests: int
    seconds: float
    per_second: float
    p50: float
    p99: float
    p999: float
    longest: float
    failures: int
    processor_microseconds: float
    """Processor time of the server per request, including the kernel's."""
    kernel_share: float
    resident: float


@dataclass(frozen=True, slots=True)
class _Result:
    requests: int
    seconds: float
    p50: float
    p99: float
    p999: float
    longest: float
    failures: int


def write_bodies() -> None:
    """Write the reviews for the load generator: a file each for wrk, a line each for oha."""
    BODIES.mkdir(parents=True, exist_ok=True)
    bodies = [encoded(review) for review in reviews()]
    for number, body in enumerate(bodies):
        (BODIES / f"{number}.json").write_bytes(body)
    (BODIES / "lines").write_bytes(b"".join(bodies))


def load_generator() -> str:
    """Return the name of the installed load generator.

    Raises:
        NoLoadGenerator: there is none.

    """
    for name in ("wrk", "oha"):
        if shutil.which(name):
            return name
    raise NoLoadGenerator("wrk is needed: apt-get install wrk")


def generate_load(server: RunningServer, connections: int, seconds: float, likeness: str = ALIKE) -> Measurement:
    """Send reviews for some seconds over connections that stay open, one request at a time on each.

    `likeness` says how far each pod is like one of 64 others, see reviews.py; other than ALIKE, it needs wrk.
    """
    before = usage(server.pid)
    result = {"wrk": _wrk, "oha": _oha}[load_generator()](server.url, connections, seconds, likeness)
    used = usage(server.pid).since(before)
    if not result.requests:
        raise SystemExit(f"{server.spec.title} answered nothing in {seconds:g} s: is the machine busy?")
    return Measurement(
        connections,
        result.requests,
        result.seconds,
        result.requests / result.seconds,
        result.p50,
        result.p99,
        result.p999,
        result.longest,
        result.failures,
        used.processor / result.requests * 1e6,
        used.kernel / used.processor,
        resident_mib(server.pid),
    )


def _wrk(url: str, connections: int, seconds: float, likeness: str) -> _Result:
    options = ["--threads=1", f"--connections={connections}", f"--duration={max(1, round(seconds))}s", "--timeout=5s"]
    bodies = [str(BODIES), str(len(reviews())), likeness]
    output = _output("wrk", *options, f"--script={SCRIPT}", url, "--", *bodies)
    (line,) = (line for line in output.splitlines() if line.startswith("RESULT "))
    result = json.loads(line.removeprefix("RESULT "))
    p50, p99, p999, longest = (result[name] / 1000 for name in ("p50", "p99", "p999", "longest"))
    return _Result(result["requests"], result["microseconds"] / 1e6, p50, p99, p999, longest, result["failures"])


def _oha(url: str, connections: int, seconds: float, likeness: str) -> _Result:
    if likeness != ALIKE:
        raise NoLoadGenerator("wrk is needed for reviews that were never seen before: apt-get install wrk")
    options = ["-c", str(connections), "-z", f"{seconds:g}s", "-m", "POST", "-T", "application/json", "--insecure"]
    options += ["-Z", str(BODIES / "lines"), "--no-tui", "--output-format", "json"]
    result = json.loads(_output("oha", *options, url))
    percentiles = result["latencyPercentiles"]
    p50, p99, p999 = (percentiles[name] * 1000 for name in ("p50", "p99", "p99.9"))
    answered = sum(result["statusCodeDistribution"].values())
    # A request that is in flight at the end is not a failure.
    errors = {what: n for what, n in result["errorDistribution"].items() if what != "aborted due to deadline"}
    failures = sum(errors.values()) + answered - result["statusCodeDistribution"].get("200", 0)
    summary = result["summary"]
    return _Result(answered, summary["total"], p50, p99, p999, summary["slowest"] * 1000, failures)


def _output(*command: str) -> str:
    return subprocess.run(on_client_core(*command), check=True, capture_output=True, text=True).stdout
