"""What a drain costs while it waits for a message: wake-ups of our processes in terminating pods.

`python -m benchmarks.drain_wakeups --seconds 3600` measures, and writes drain_wakeups.json, which the document has. The
pods run on the node of tests/node, so it needs root and crun. Other programs on the machine do not change the figures:
they are the kernel's counts of the context switches of these processes alone.
"""

from __future__ import annotations

import argparse
import datetime
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jsonpatch

from benchmarks.machine import commit
from tests.node.kubelet import RunningPod
from tests.node.node import Node
from tests.node.runtime import Image, Mount
from webhook.core.injection import inject
from webhook.core.policy import Policy

FILE = Path(__file__).with_name("drain_wakeups.json")
SETTLED = 5.0
"""Seconds after the deletion, so that the start of the hooks is not counted."""
CONTAINERS = ("worker", "sidecar")
OURS = b"gw_"
"""In the command line of each of our processes: the names of its script's variables."""
PROGRAM = """\
#!/bin/sh
# A worker in the middle of a message that never ends. It catches its stop signal, and sleeps without any child.
trap : TERM QUIT
mkfifo /tmp/never
exec 3<>/tmp/never
if [ -n "$CHILD" ]; then sleep 1000000 & fi
while :; do read -r nothing <&3; done
"""
WORKER, SHELL_WORKER = ["/programs/work"], ["sh", "/programs/work"]
KINDS: dict[str, tuple[list[str], dict[str, str], dict[str, str]]] = {
    "worker as it was, no child": (WORKER, {}, {}),
    "worker as it was, with a child": (WORKER, {}, {"CHILD": "1"}),
    "worker as it was, sent a signal by the hook": (WORKER, {"stop-signal": "QUIT"}, {}),
    "worker below a parent": (SHELL_WORKER, {}, {}),
    "worker in a loop": (WORKER, {"mode": "loop"}, {}),
}
"""The kinds of workers: command, annotations, environment. Each pod has a sidecar that waits for the worker."""


class Process(NamedTuple):
    """One of our processes in a pod."""

    container: str
    pid: int


Waiting = dict[str, dict[str, dict[str, int]]]
"""The number of our processes and of their wake-ups, in each container of each kind of pod."""


@contextmanager
def draining() -> Iterator[dict[str, RunningPod]]:
    """Run a pod of each kind, and delete it."""
    with _node() as node:
        pods = {kind: _run(node, kind, number) for number, kind in enumerate(KINDS)}
        _until("all pods run", lambda: all(pod.ready for pod in pods.values()))
        time.sleep(1)
        for pod in pods.values():
            pod.delete()
        yield pods


def count_wake_ups(pods: dict[str, RunningPod], seconds: float) -> Waiting:
    """Count the wake-ups of our processes for some seconds."""
    before = {kind: _wake_ups(pod) for kind, pod in pods.items()}
    time.sleep(seconds)
    return {kind: _difference(before[kind], _wake_ups(pod)) for kind, pod in pods.items()}


def _difference(before: dict[Process, int], after: dict[Process, int]) -> dict[str, dict[str, int]]:
    """Return the processes and the wake-ups in each container.

    Of a process that is there only once, nothing is known: one that is being started has its parent's command line.
    """
    found: dict[str, dict[str, int]] = {}
    for process in before.keys() & after.keys():
        row = found.setdefault(process.container, {"processes": 0, "wake_ups": 0})
        row["processes"] += 1
        row["wake_ups"] += after[process] - before[process]
    return {container: found[container] for container in CONTAINERS if container in found}


def _wake_ups(pod: RunningPod) -> dict[Process, int]:
    """Return the context switches of each of our processes, voluntary or not."""
    found = {}
    for container in CONTAINERS:
        instance = pod.state(container).running
        for pid in instance.pids() if instance else ():
            if OURS in Path(f"/proc/{pid}/cmdline").read_bytes():
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                found[Process(container, pid)] = sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return found


@contextmanager
def _node() -> Iterator[Node]:
    with tempfile.TemporaryDirectory(prefix="waiting-") as name:
        room = Path(name)
        room.chmod(0o755)
        programs = room / "programs"
        programs.mkdir()
        (programs / "work").write_text(PROGRAM)
        (programs / "work").chmod(0o755)
        image = Image((Mount(programs, "/programs", read_only=True),), {"PATH": "/usr/bin:/bin"})
        node = Node(room / "pods", image)
        try:
            yield node
        finally:
            node.close()


def _run(node: Node, kind: str, number: int) -> RunningPod:
    command, settings, environment = KINDS[kind]
    pod = {
        "metadata": {
            "name": f"pod-{number}",
            "labels": {"graceful-worker": "enabled"},
            "annotations": {
                "graceful-worker/containers": "worker",
                "graceful-worker/grace-period": "24h",
                **{f"graceful-worker/{name}": value for name, value in settings.items()},
            },
        },
        "spec": {
            "containers": [
                {
                    "name": "worker",
                    "image": "worker",
                    "command": command,
                    "env": [{"name": name, "value": value} for name, value in environment.items()],
                },
                {"name": "sidecar", "image": "sidecar", "command": WORKER},
            ]
        },
    }
    return node.run(jsonpatch.apply_patch(pod, json.loads(json.dumps(inject(pod, Policy()).patch))))


def _until(what: str, condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drain_wakeups", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600, help="how long the pods wait")
    parser.add_argument("--results", type=Path, default=FILE, help="where the results go")
    arguments = parser.parse_args()
    with draining() as pods:
        time.sleep(SETTLED)
        kinds = count_wake_ups(pods, arguments.seconds)
    measured = {
        "seconds": arguments.seconds,
        "kinds": kinds,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
    }
    print(json.dumps(measured, indent=1))
    arguments.results.write_text(json.dumps(measured, indent=1) + "\n")


if __name__ == "__main__":
    main()
