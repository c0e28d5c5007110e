"""What it costs an API server to be told which pods are busy: `python -m benchmarks.deletion_cost [PATCHES]`.

It starts a kube-apiserver and an etcd of its own (envtest's, see tests/apiserver) and counts their processor time,
which other programs on the machine disturb less than the time on the clock.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import jsonpatch
from ruamel.yaml import YAML

from benchmarks.environment import ROOT
from benchmarks.processes import usage
from benchmarks.tables import number, table
from tests.apiserver.control_plane import ControlPlane, control_plane
from webhook.core.injection import inject
from webhook.core.policy import Policy

NAMESPACE = "workers"
URL = f"/api/v1/namespaces/{NAMESPACE}/pods"
PODS = 100
WATCHERS = 8
"""Enough to separate their cost from that of the patches."""
IDLE_SECONDS = 20.0
FLEET, BUSY = 1000, 0.6
WATCHING = 5
"""Watches of a pod in most clusters: its kubelet, the scheduler, the controller manager twice, and one more agent."""
COMPACTION_SECONDS = 300
"""The API server's default."""
COST = "controller.kubernetes.io/pod-deletion-cost"
COSTS = itertools.count(1)
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
PROTOBUF = "application/vnd.kubernetes.protobuf;stream=watch"
"""The encoding that kubelets and controllers request; as JSON, an event is as long as the pod."""
EXAMPLES = ("celery", "symfony-messenger")


class Reading(NamedTuple):
    """The resources used so far."""

    api_server: float
    etcd: float
    stored: float
    """Bytes of etcd's database that are in use: all versions since the last compaction."""
    logged: float
    """Bytes written to etcd's log of changes."""
    clock: float

    def since(self, before: Reading) -> Reading:
        """Return the difference."""
        return Reading(*(now - then for now, then in zip(self, before, strict=True)))


@dataclass(frozen=True, slots=True)
class Meter:
    """Reads the two processes, which are children of this one."""

    api_server: int
    etcd: int
    metrics: str

    @classmethod
    def of_children(cls) -> Meter:
        """Find them by their names."""
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        found = {Path(f"/proc/{pid}/comm").read_text().strip(): int(pid) for pid in children}
        words = Path(f"/proc/{found['etcd']}/cmdline").read_text().split("\0")
        (url,) = (word.partition("=")[2] for word in words if word.startswith("--listen-client-urls="))
        return cls(found["kube-apiserver"], found["etcd"], f"{url}/metrics")

    def read(self) -> Reading:
        """Read all."""
        text = httpx.get(self.metrics).raise_for_status().text
        values = {
            name: float(value)
            for name, _, value in (line.partition(" ") for line in text.splitlines() if not line.startswith("#"))
        }
        return Reading(
            usage(self.api_server).processor,
            usage(self.etcd).processor,
            values["etcd_mvcc_db_total_size_in_use_in_bytes"],
            values["etcd_disk_wal_write_bytes_total"],
            time.monotonic(),
        )


@dataclass
class Watcher:
    """A client that watches the pods, as a kubelet or a controller does; it only counts events."""

    plane: ControlPlane
    kind: str
    bytes: int = 0
    ready: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def follow(self) -> None:
        """Read until an event arrives after the end was requested."""
        version = self.plane.client.get(f"{URL}?limit=1").raise_for_status().json()["metadata"]["resourceVersion"]
        parameters = {"watch": "1", "resourceVersion": version}
        with self.plane.client.stream("GET", URL, params=parameters, headers={"Accept": self.kind}) as response:
            response.raise_for_status()
            self.ready.set()
            for part in response.iter_raw():
                if self.over.is_set():
                    return
                self.bytes += len(part)


@contextmanager
def watching(plane: ControlPlane, count: int, kind: str) -> Iterator[list[Watcher]]:
    """Run a number of watches meanwhile."""
    watchers = [Watcher(plane, kind) for _ in range(count)]
    threads = [threading.Thread(target=watcher.follow, daemon=True) for watcher in watchers]
    for thread in threads:
        thread.start()
    try:
        for watcher in watchers:
            if not watcher.ready.wait(60):
                raise SystemExit("a watch was not answered")
        yield watchers
    finally:
        for watcher in watchers:
            watcher.over.set()
        # The API server does not exit while a client watches, and a client sees its end with the next event.
        patch(plane, 1)
        for thread in threads:
            thread.join(60)


def protected(example: str) -> dict[str, Any]:
    """Return the example's pod as the webhook patches it, assigned to a node."""
    template = YAML(typ="safe").load(ROOT / "examples" / f"{example}.yaml")["spec"]["template"]
    plain = json.loads(json.dumps(template))
    pod: dict[str, Any] = jsonpatch.apply_patch(plain, inject(plain, Policy()).patch)
    return {**pod, "apiVersion": "v1", "kind": "Pod", "spec": {**pod["spec"], "nodeName": "node-1"}}


def running(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the status that a kubelet would write."""
    now = "2026-01-01T00:00:00Z"
    conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    return {
        "phase": "Running",
        "podIP": "10.1.2.3",
        "podIPs": [{"ip": "10.1.2.3"}],
        "hostIP": "10.0.0.7",
        "startTime": now,
        "qosClass": "BestEffort",
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in conditions],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": f"{container['image'].partition(':')[0]}@sha256:{'0123456789abcdef' * 4}",
                "containerID": f"containerd://{'0123456789abcdef' * 4}",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            }
            for container in pod["spec"]["containers"]
        ],
    }


def create(plane: ControlPlane, example: str) -> int:
    """Replace the pods; return the size of one in the API server's response, in bytes."""
    plane.client.delete(URL, params={"gracePeriodSeconds": 0}).raise_for_status()
    pod = protected(example)
    for index in range(PODS):
        pod["metadata"]["name"] = f"worker-{index}"
        plane.create_pod(NAMESPACE, pod).raise_for_status()
        status = json.dumps({"status": running(pod)})
        answer = plane.client.patch(f"{URL}/worker-{index}/status", content=status, headers=MERGE_PATCH)
        answer.raise_for_status()
    patch(plane, PODS)
    return len(plane.client.get(f"{URL}/worker-0").content)


def patch(plane: ControlPlane, count: int) -> None:
    """Set the cost of one pod after another; each value is new, because an unchanged object is not written."""
    for index in range(count):
        body = json.dumps({"metadata": {"annotations": {COST: str(next(COSTS))}}})
        answer = plane.client.patch(f"{URL}/worker-{index % PODS}", content=body, headers=MERGE_PATCH)
        answer.raise_for_status()


def measured(plane: ControlPlane, meter: Meter, count: int) -> Reading:
    """Return the resources used by a number of patches."""
    before = meter.read()
    patch(plane, count)
    return meter.read().since(before)


def idle(meter: Meter) -> tuple[float, float]:
    """Return the processor time that each of the two uses per second when idle."""
    before = meter.read()
    time.sleep(IDLE_SECONDS)
    used = meter.read().since(before)
    return used.api_server / used.clock, used.etcd / used.clock


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one patch."""

    pod_bytes: int
    api_server: float
    etcd: float
    watcher: float
    """Processor seconds of both for each watch of the pod."""
    event_bytes: float
    stored_bytes: float
    logged_bytes: float

    def row(self, name: str) -> list[str]:
        """Format it, in seconds per thousand patches."""
        seconds = (1000 * part for part in (self.api_server, self.etcd, self.watcher))
        sizes = (part / 1000 for part in (self.event_bytes, self.stored_bytes, self.logged_bytes))
        return [name, *map(number, (self.pod_bytes / 1000, *seconds, *sizes))]


def cost(plane: ControlPlane, meter: Meter, example: str, count: int) -> Cost:
    """Measure one kind of pod, less the idle use of both processes."""
    size = create(plane, example)
    rest = idle(meter)
    alone = measured(plane, meter, count)
    with watching(plane, WATCHERS, PROTOBUF) as watchers:
        watched = measured(plane, meter, count)
        time.sleep(1)
        event = watchers[0].bytes / count
    api_server, etcd = ((alone[part] - rest[part] * alone.clock) / count for part in (0, 1))
    more = sum(watched[part] - rest[part] * watched.clock for part in (0, 1)) / count - api_server - etcd
    return Cost(size, api_server, etcd, more / WATCHERS, event, alone.stored / count, alone.logged / count)


def extrapolated(cost: Cost) -> list[list[str]]:
    """Format the cost of a fleet of workers that reports the start and end of each message."""
    rows = []
    for name, seconds in (("1 s", 1), ("10 s", 10), ("60 s", 60), ("10 min", 600)):
        rate = 2 * FLEET * BUSY / seconds
        cores = rate * (cost.api_server + cost.etcd + WATCHING * cost.watcher)
        sent, kept = rate * cost.event_bytes * WATCHING / 1e6, rate * cost.stored_bytes * COMPACTION_SECONDS / 1e6
        rows.append([name, *map(number, (rate, cores, sent, kept))])
    return rows


HEAD = [
    "pod",
    "its JSON, KB",
    "kube-apiserver, s",
    "etcd, s",
    "each watcher, s",
    "event, KB",
    "database, KB",
    "log, KB",
]
FLEETS = ["messages", "patches/s", "cores", "events, MB/s", "database between compactions, MB"]


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    with tempfile.TemporaryDirectory() as folder, control_plane(Path(folder)) as plane:
        meter = Meter.of_children()
        plane.create_namespace(NAMESPACE, {})
        costs = {example: cost(plane, meter, example, count) for example in EXAMPLES}
    print(table(HEAD, [measured.row(example) for example, measured in costs.items()]))
    print()
    print(table(FLEETS, extrapolated(costs[EXAMPLES[0]])))


if __name__ == "__main__":
    main()
