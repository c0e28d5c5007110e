"""How long the webhook takes from its start to its first response, and which imports that time is spent on."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from typing import Any

from benchmarks.environment import PYTHON, ROOT, SERVER_CORE, Certificate
from benchmarks.sample_sizes import SampleSizes
from benchmarks.server_process import read_spec, running

IMPORTED = "import webhook.cli.serve, webhook.server.https_server"
_LINE = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s*([\w.]+)$", re.MULTILINE)


def measure_startup(certificate: Certificate, sample_sizes: SampleSizes) -> dict[str, Any]:
    """Return the seconds of several starts, and the milliseconds of each imported package."""
    seconds = []
    for _ in range(sample_sizes.starts):
        with running(read_spec("graceful_worker"), certificate) as server:
            seconds.append(server.start_seconds)
    return {"seconds": seconds, "imports": _imports()}


def _imports() -> dict[str, float]:
    """Return the time of each package's own modules, the longest first; the interpreter's own are one row."""
    command = ["taskset", "--cpu-list", str(SERVER_CORE), str(PYTHON / "python"), "-X", "importtime", "-c", IMPORTED]
    outputs = [subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stderr for _ in range(5)]
    # The fastest: in the others, modules were compiled, or the machine was busy.
    fastest = min((_LINE.findall(output) for output in outputs), key=lambda rows: sum(int(row[0]) for row in rows))
    installed = {path.name.removesuffix(".py") for path in _site_packages()} | {"webhook", "certs"}
    times: Counter[str] = Counter()
    for microseconds, module in fastest:
        package = module.partition(".")[0]
        times[package if package in installed else "Python's own"] += int(microseconds)
    return {package: time / 1000 for package, time in times.most_common(12)}


def _site_packages() -> list[Any]:
    return [path for folder in (PYTHON.parent / "lib").glob("python3*/site-packages") for path in folder.iterdir()]
