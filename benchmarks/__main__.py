"""`python -m benchmarks` measures everything and writes JSON; `make bench` makes the document of it."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.breakdown import break_down
from benchmarks.burst import measure_bursts
from benchmarks.comparison import compare
from benchmarks.drive import driver, write_bodies
from benchmarks.effort import FULL, QUICK
from benchmarks.instructions import measure_instructions
from benchmarks.large_cluster import measure_large_cluster
from benchmarks.machine import machine, versions
from benchmarks.pauses import measure_pauses
from benchmarks.places import BENCH, CLIENT_CORE, make_certificate
from benchmarks.servers import contenders, given
from benchmarks.size import measure_size
from benchmarks.soak import soak
from benchmarks.startup import measure_startup
from benchmarks.weight import measure_weight
from benchmarks.wrapper import measure_wrapper


def main() -> None:
    """Run what is asked for; results of parts that are not run now stay in the file."""
    arguments = _arguments()
    driver()
    os.sched_setaffinity(0, {CLIENT_CORE})
    shutil.rmtree(BENCH / "rooms", ignore_errors=True)
    certificate = make_certificate()
    write_bodies()
    effort = QUICK if arguments.quick else FULL
    who = contenders() + [given(name, port, shlex.split(command)) for name, port, command in arguments.webhook]
    parts: dict[str, Callable[[], Any]] = {
        "comparison": lambda: compare(certificate, effort, who),
        "breakdown": lambda: break_down(certificate, effort),
        "startup": lambda: measure_startup(certificate, effort),
        "pauses": lambda: measure_pauses(certificate, effort),
        "burst": lambda: measure_bursts(certificate, effort),
        "weight": lambda: measure_weight(certificate, effort),
        "soak": lambda: soak(certificate, effort),
        "wrapper": lambda: measure_wrapper(effort),
        "large_cluster": lambda: measure_large_cluster(effort.cluster_rounds),
        "size": measure_size,
        "instructions": measure_instructions,
    }
    file: Path = arguments.results
    results = json.loads(file.read_text()) if arguments.only and file.exists() else {}
    begin = time.monotonic()
    for name, measure in parts.items():
        if not arguments.only or name in arguments.only:
            print(f"{time.monotonic() - begin:5.0f} s  {name} ...", flush=True)
            results[name] = measure()
    results["machine"] = machine()
    results["versions"] = {one.name: versions(one) for one in who}
    results["quick"] = arguments.quick
    results["seconds"] = time.monotonic() - begin
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n")
    print(f"{time.monotonic() - begin:5.0f} s  all done: {file}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure so little that it only shows that all works")
    parser.add_argument("--only", nargs="+", metavar="PART", help="run these parts, such as comparison or burst")
    parser.add_argument("--results", type=Path, default=BENCH / "results.json", help="where the results go")
    parser.add_argument(
        "--webhook",
        nargs=3,
        action="append",
        default=[],
        metavar=("NAME", "PORT", "COMMAND"),
        help="another webhook: it listens with TLS on this port of 127.0.0.1, shows {certificate} (key: {key}) and "
        "answers POST /mutate; `{...}` in the command are filled in",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
