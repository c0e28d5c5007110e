"""A pod on this machine: its containers as plain processes, ended as the kubelet ends them.

What a node has and this has not: images, namespaces, volumes. The shared volume is a temporary folder, put in place of
its mount path wherever an argument names that; probes, restarts and resource limits are left out.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from webhook.core.pod import JsonObject
from webhook.core.wrapping import MOUNT_PATH

Say = Callable[[str, str], None]
"""Takes a container's name and a line."""


class LocalPod:
    """Runs the containers of a pod; what they print is said line by line."""

    def __init__(self, pod: JsonObject, volume: Path, say: Say, environment: dict[str, str] | None = None) -> None:
        self._spec = pod["spec"]
        self._volume = volume
        self._say = say
        self._environment = {**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"}
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._readers: dict[str, threading.Thread] = {}

    def start(self) -> None:
        """Start every container."""
        for container in self._spec["containers"]:
            argv = self._mounted([*container["command"], *container.get("args", [])])
            # A session of its own: a signal reaches the container's first process only, as on a node.
            process = subprocess.Popen(
                [argument.replace("$$", "$") for argument in argv],  # what the kubelet's expansion does to `$$`
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            self._processes[container["name"]] = process
            reader = threading.Thread(target=self._repeat, args=(container["name"], process), daemon=True)
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
        """End whatever is left of the processes that were started here."""
        for process in self._processes.values():
            _kill_group(process)

    def _end(self, container: JsonObject, deadline: float) -> None:
        process = self._processes[container["name"]]
        hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
        if hook:
            subprocess.run(
                self._mounted(hook), env=self._environment, stdin=subprocess.DEVNULL, timeout=60, check=False
            )
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # What the container's end ends on a node: everything else that ran in it.
        _kill_group(process)
        self._readers[container["name"]].join()
        code = process.returncode
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._say(container["name"], f"container {how}")

    def _mounted(self, argv: list[str]) -> list[str]:
        return [
            argument.replace(MOUNT_PATH, str(self._volume)) if argument.startswith(MOUNT_PATH) else argument
            for argument in argv
        ]

    def _repeat(self, name: str, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self._say(name, line.rstrip())


def _kill_group(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
