"""A pod on this machine: each container's command as process 1 of a namespace, ended as the kubelet ends it.

What a node has and this has not: images, volumes. The shared volume is a temporary folder, put in place of
its mount path wherever an argument names that; probes, restarts and resource limits are left out.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from webhook.core.pod import JsonObject
from webhook.core.wrapper import MOUNT_PATH

PrintLine = Callable[[str, str], None]
"""Receives a container's name and a line."""


_NAMESPACE = ("unshare", *(() if os.getuid() == 0 else ("--user", "--map-root-user")), "--pid", "--mount-proc")
_ENTER = ("nsenter", *(() if os.getuid() == 0 else ("--user", "--preserve-credentials")), "--pid", "--mount")


def isolation_refusal() -> str:
    """Return why no PID namespace can be created here; empty if one can."""
    try:
        tried = subprocess.run([*_NAMESPACE, "--fork", "true"], capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return tried.stderr.strip()


class LocalPod:
    """Runs the containers of a pod; their output is passed on line by line."""

    def __init__(
        self, pod: JsonObject, volume: Path, print_line: PrintLine, environment: dict[str, str] | None = None
    ) -> None:
        self._spec = pod["spec"]
        self._volume = volume
        self._print_line = print_line
        self._environment = {**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"}
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._readers: dict[str, threading.Thread] = {}

    def start(self) -> None:
        """Start every container."""
        for container in self._spec["containers"]:
            argv = self._mounted([*container["command"], *container.get("args", [])])
            process = subprocess.Popen(
                # As the kubelet's expansion changes `$$`.
                [*_NAMESPACE, "--fork", "--kill-child", *(argument.replace("$$", "$") for argument in argv)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            self._processes[container["name"]] = process
            reader = threading.Thread(target=self._print_output, args=(container["name"], process), daemon=True)
            reader.start()
            self._readers[container["name"]] = reader

    def delete(self) -> None:
        """End the pod: every preStop hook at once, each followed by TERM; KILL at the end of the grace period."""
        deadline = time.monotonic() + self._spec["terminationGracePeriodSeconds"]
        endings = [
            threading.Thread(target=self._end, args=(container, deadline)) for container in self._spec["containers"]
        ]
        for ending in endings:
            ending.start()
        for ending in endings:
            ending.join()

    def kill(self) -> None:
        """Kill the remaining processes."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _end(self, container: JsonObject, deadline: float) -> None:
        process = self._processes[container["name"]]
        first = _first_process(process)
        hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
        if hook:
            enter = [*_ENTER, f"--target={first}", *self._mounted(hook)]
            subprocess.run(enter, env=self._environment, stdin=subprocess.DEVNULL, timeout=60, check=False)
        _signal(first, signal.SIGTERM)
        try:
            process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            _signal(first, signal.SIGKILL)
        code = process.wait()
        self._readers[container["name"]].join()
        late = time.monotonic() >= deadline
        how = "killed, as its grace period is over" if late else f"ended with exit code {code}"
        self._print_line(container["name"], f"container {how}")

    def _mounted(self, argv: list[str]) -> list[str]:
        return [
            argument.replace(MOUNT_PATH, str(self._volume)) if argument.startswith(MOUNT_PATH) else argument
            for argument in argv
        ]

    def _print_output(self, name: str, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            # The exit code of unshare if its child was killed.
            if not line.startswith("unshare:"):
                self._print_line(name, line.rstrip())


def _first_process(unshare: subprocess.Popen[str]) -> int:
    """Return process 1 of a container, by its number on this machine; 0 if it has ended."""
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
    found = children.read_text().split() if children.exists() else []
    return int(found[0]) if found else 0


def _signal(process: int, number: signal.Signals) -> None:
    if process:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)
