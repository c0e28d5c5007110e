"""`python -m benchmarks` measures everything and writes JSON; `make bench` writes the document from that."""

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

from benchmarks.added_bytes import measure_added_bytes
from benchmarks.burst import measure_bursts
from benchmarks.comparison import compare
from benchmarks.cpu_breakdown import measure_cpu_breakdown
from benchmarks.environment import BENCH, CLIENT_CORE, make_certificate
from benchmarks.garbage_collection import measure_garbage_collection
from benchmarks.instructions import measure_instructions
from benchmarks.large_cluster import measure_large_cluster
from benchmarks.load_generator import load_generator, write_bodies
from benchmarks.machine import machine, versions
from benchmarks.pod_size import measure_pod_sizes
from benchmarks.sample_sizes import FULL, QUICK
from benchmarks.server_process import installed_specs, spec_from_command_line
from benchmarks.soak import soak
from benchmarks.startup import measure_startup
from benchmarks.wrapper import measure_wrapper


def main() -> None:
    """Run the selected parts; earlier results of other parts stay in the file."""
    arguments = _arguments()
    load_generator()
    os.sched_setaffinity(0, {CLIENT_CORE})
    shutil.rmtree(BENCH / "running", ignore_errors=True)
    certificate = make_certificate()
    write_bodies()
    sample_sizes = QUICK if arguments.quick else FULL
    specs = installed_specs() + [
        spec_from_command_line(name, port, shlex.split(command)) for name, port, command in arguments.webhook
    ]
    parts: dict[str, Callable[[], Any]] = {
        "comparison": lambda: compare(certificate, sample_sizes, specs),
        "breakdown": lambda: measure_cpu_breakdown(certificate, sample_sizes),
        "startup": lambda: measure_startup(certificate, sample_sizes),
        "pauses": lambda: measure_garbage_collection(certificate, sample_sizes),
        "burst": lambda: measure_bursts(certificate, sample_sizes),
        "weight": lambda: measure_pod_sizes(certificate, sample_sizes),
        "soak": lambda: soak(certificate, sample_sizes),
        "wrapper": lambda: measure_wrapper(sample_sizes),
        "large_cluster": lambda: measure_large_cluster(sample_sizes.cluster_rounds),
        "size": measure_added_bytes,
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
    results["versions"] = {spec.name: versions(spec) for spec in specs}
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
