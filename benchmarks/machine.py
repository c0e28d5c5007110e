"""The machine on which the numbers were measured, and the versions of all programs."""

from __future__ import annotations

import datetime
import os
import platform
import ssl
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.environment import BENCH_PYTHON, CLIENT_CORE, PYTHON, ROOT, SERVER_CORE
from benchmarks.load_generator import load_generator
from benchmarks.server_process import ServerSpec
from webhook import __version__

_LIST = "import importlib.metadata as m, sys; print(*(f'{name} {m.version(name)}' for name in sys.argv[1:]), sep=', ')"


def machine() -> dict[str, Any]:
    """Describe the machine."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "server core": SERVER_CORE,
        "client core": CLIENT_CORE,
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "system": f"{_system()}, Linux {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "openssl": ssl.OPENSSL_VERSION,
        "driver": _load_generator_version(),
        "commit": commit(),
    }


def commit() -> str:
    """Return the checkout's commit, with a + if files of the product have changed since."""
    number = _output("git", "rev-parse", "--short=10", "HEAD")
    changed = _output("git", "status", "--porcelain", "--", "webhook", "certs", "requirements/run.txt")
    return number + ("+" if changed else "")


def versions(spec: ServerSpec) -> str:
    """Return the versions of a server's parts."""
    said = [f"graceful-worker {__version__}"] if spec.role == "ours" else []
    if spec.versions:
        python = (PYTHON if spec.role == "ours" else BENCH_PYTHON) / "python"
        said.append(_output(str(python), "-c", _LIST, *spec.versions))
    if spec.version:
        said.append(
            _output(*(word.format(needs=spec.program) for word in spec.version)).removeprefix("nginx version: ")
        )
    return ", ".join(said)


def _load_generator_version() -> str:
    text = _output(load_generator(), "--version")
    return " ".join(text.split()[:2])


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _system() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")


def _output(*command: str) -> str:
    """Return what a program prints; some print their version to standard error, and then fail."""
    ended = subprocess.run(command, cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return ended.stdout.strip()
