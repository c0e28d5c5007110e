"""The overhead of the loop's wrapper per message, compared to a bare `while`, and its cost while it waits."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.environment import BENCH, SERVER_CORE
from benchmarks.processes import usage
from benchmarks.sample_sizes import SampleSizes
from webhook.core.scripts import LOOP, parent
from webhook.core.wrapper import MARKER

SECONDS = 2.0
WATCHED = 3.0
SHELLS = ("dash", "bash", "busybox")
MESSAGE = ("dash", "-c", 'sleep 0.11; date +%s%N >>"$0"')
"""One message: a process that records its end and exits; shorter runs would be slowed down."""
SCRIPTS = {"loop": (LOOP, "0"), "parent": (parent(finds_worker=False), "30;;;;0;")}
"""The scripts and their settings."""
BARE = 'while [ ! -e "$0" ]; do "$@" || exit; done'


def measure_wrapper(sample_sizes: SampleSizes) -> dict[str, Any]:
    """Run both loops in turn, in every installed shell; then measure the wrapper during a long message."""
    shells = {}
    for shell in filter(shutil.which, SHELLS):
        command = [shell, "sh", "-c"] if shell == "busybox" else [shell, "-c"]
        bare, wrapped = [], []
        for _ in range(sample_sizes.wrapper_rounds):
            bare.append(_milliseconds_per_message([*command, BARE, "{folder}/kill_me"]))
            wrapped.append(_milliseconds_per_message([*command, *_ours("loop", "{folder}")]))
        shells[shell] = {"bare": median(bare), "wrapped": median(wrapped)}
    waiting = {name: _while_waiting(name) for name in SCRIPTS}
    return {"shells": shells, "waiting": waiting}


def _ours(name: str, folder: str) -> list[str]:
    """Return script, marker, folder and settings, past the kubelet's expansion."""
    script, settings = SCRIPTS[name]
    return [script.replace("$$", "$"), MARKER, folder, settings]


def _milliseconds_per_message(loop: list[str]) -> float:
    """Run a loop on one core, end it by its kill file, and return the time per message."""
    folder = _folder()
    ends = folder / "ends"
    command = [word.replace("{folder}", str(folder)) for word in loop]
    process = subprocess.Popen(["taskset", "--cpu-list", str(SERVER_CORE), *command, *MESSAGE, str(ends)])
    try:
        time.sleep(SECONDS)
    finally:
        (folder / "kill_me").touch()
        process.wait(10)
    nanoseconds = [int(line) for line in ends.read_text().split()]
    return (nanoseconds[-1] - nanoseconds[0]) / (len(nanoseconds) - 1) / 1e6


def _while_waiting(name: str) -> dict[str, float]:
    """Return the processor time of the wrapper's own process, in milliseconds, and its wake-ups, in some seconds."""
    folder = _folder()
    command = ["dash", "-c", *_ours(name, str(folder)), "sleep", "600"]
    # For its termination message. In its own session: the worker is not its child.
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        time.sleep(0.5)
        before = usage(process.pid)
        time.sleep(WATCHED)
        used = usage(process.pid).since(before)
    finally:
        (folder / "kill_me").touch()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    return {"seconds": WATCHED, "processor": used.processor * 1000, "wake_ups": used.waits}


def _folder() -> Path:
    folder = BENCH / "volume"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
