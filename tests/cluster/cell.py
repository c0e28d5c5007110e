"""A cell of the proof in a real cluster: a namespace with a broker, a sender, and the worker's Deployment."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from httpx2 import HTTPError
from lightkube import ApiError, AsyncClient, Client
from lightkube.codecs import from_dict
from lightkube.models.meta_v1 import DeleteOptions, ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Node
from lightkube.resources.core_v1 import Pod as PodResource

from tests import builders
from tests.node.specification import Json
from tests.proof import cell
from tests.proof.ledger import Ledger
from tests.proof.workers import SHARED, Worker

LEDGER_FOLDER = "/var/lib/graceful-worker-e2e"
POLL_PERIOD = 0.2
"""The shortest time between two requests for the same data."""
# The broker restarts once the file `away` is removed; its data stay in its container.
_BROKER = """
chmod 777 /ledger
while :; do
  redis-server --appendonly yes --save '' --protected-mode no --dir /tmp
  while [ -e /tmp/away ]; do sleep 0.1; done
done
"""
_NEVER = "needs access to the node"


@dataclass
class ClusterPod:
    """A pod as the API server last showed it."""

    cell: ClusterCell
    name: str
    seen: Json
    absent: bool = False

    @property
    def grace(self) -> int:
        return int(self.seen["spec"]["terminationGracePeriodSeconds"])

    @property
    def is_deleted(self) -> bool:
        self.cell.refresh()
        return self.absent or "deletionTimestamp" in self.seen["metadata"]

    @property
    def is_gone(self) -> bool:
        self.cell.refresh()
        return self.absent

    def has_started(self, container: str) -> bool:
        return "startedAt" in self._state(container).get("state", {}).get("running", {})

    def restarts(self, container: str) -> int:
        return int(self._state(container).get("restartCount", 0))

    def exit_codes(self, container: str) -> list[int]:
        state = self._state(container)
        ends = (state.get(key, {}).get("terminated") for key in ("lastState", "state"))
        return [end["exitCode"] for end in ends if end]

    @property
    def is_ready(self) -> bool:
        statuses = self.seen.get("status", {}).get("containerStatuses", [])
        return bool(statuses) and all(status["ready"] for status in statuses) and not self.is_deleted

    def _state(self, container: str) -> Json:
        self.cell.refresh()
        statuses: list[Json] = self.seen.get("status", {}).get("containerStatuses", [])
        return next((status for status in statuses if status["name"] == container), {})


class ClusterCell(cell.Cell):
    """One worker in one scenario, in a namespace that is removed afterwards."""

    def __init__(
        self, client: Client, worker: Worker, images: tuple[str, str], labels: dict[str, str], *, protected: bool
    ) -> None:
        self._client = client
        self._broker_image, self._image = images
        self.namespace = f"graceful-worker-e2e-{time.time_ns():x}"
        folder = Path(LEDGER_FOLDER, self.namespace)
        super().__init__(worker, Ledger(self._read_ledger), worker.deployment(folder), protected=protected)
        self._pods: dict[str, ClusterPod] = {}
        self._refreshed = 0.0
        self._read = (0.0, "")
        self._bare = itertools.count(1)
        self._prepare(labels if protected else {})

    # The objects in the namespace

    def _prepare(self, labels: dict[str, str]) -> None:
        self._client.create(Namespace(metadata=ObjectMeta(name=self.namespace, labels=labels)))
        node = next(iter(self._nodes()))
        self._complete(node)
        for name, folder in (("app", self.worker.folder), ("shared", SHARED)):
            files = {_key(path): text for path, text in _files(folder)}
            self._client.create(ConfigMap(metadata=ObjectMeta(name=name, namespace=self.namespace), data=files))
        self._create(self._service())
        broker = {"name": "main", "image": self._broker_image, "command": ["/bin/sh", "-c", _BROKER]}
        self._create(self._pod_of("broker", {"app": "redis"}, broker))
        self._wait_for_pod("broker")
        # After the Service and its broker, so that the kubelet gives it the Service's variables.
        sender = {**self.container("worker"), "name": "main", "command": ["sleep", "86400"]}
        sender.pop("livenessProbe")
        self._create(self._pod_of("sender", {"app": "sender"}, sender))
        self._wait_for_pod("sender")

    def _nodes(self) -> Iterator[str]:
        for node in self._client.list(Node):
            conditions = (node.status and node.status.conditions) or []
            if any(c.type == "Ready" and c.status == "True" for c in conditions) and node.metadata:
                yield str((node.metadata.labels or {}).get("kubernetes.io/hostname"))

    def _complete(self, node: str) -> None:
        """Add to the template what the cluster needs: images, the worker's code, the node with the ledger."""
        self.manifest["metadata"]["namespace"] = self.namespace
        spec = self.template["spec"]
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
        for name, folder in (("app", self.worker.folder), ("shared", SHARED)):
            items = [{"key": _key(path), "path": str(path)} for path, _ in _files(folder)]
            spec["volumes"].append({"name": name, "configMap": {"name": name, "items": items}})
        mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("app", "shared")]
        for container in spec["containers"]:
            container["image"] = self._image
            container["volumeMounts"] = [*container.get("volumeMounts", []), *mounts]
        self.container("worker")["env"].append({"name": "HOME", "value": "/tmp"})

    def _service(self) -> Json:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "redis", "namespace": self.namespace},
            "spec": {"selector": {"app": "redis"}, "ports": [{"port": 6379}]},
        }

    def _pod_of(self, name: str, labels: dict[str, str], container: Json) -> Json:
        """Return an additional pod, not of the Deployment, that the webhook ignores."""
        spec = self.template["spec"]
        mounts = container.get("volumeMounts") or [{"name": "ledger", "mountPath": "/ledger"}]
        return builders.pod(
            name,
            {**container, "volumeMounts": mounts},
            labels={**labels, "graceful-worker": "disabled"},
            metadata={"namespace": self.namespace},
            nodeSelector=spec["nodeSelector"],
            terminationGracePeriodSeconds=0,
            volumes=spec["volumes"],
        )

    def _create(self, manifest: Json) -> None:
        self._client.create(from_dict(manifest))

    def _wait_for_pod(self, name: str) -> None:
        self._client.wait(PodResource, name, for_conditions=["Ready"], namespace=self.namespace)

    # The Deployment

    def start(self, replicas: int = 1) -> None:
        self.manifest["spec"]["replicas"] = replicas
        self._create(self.manifest)
        self.until("the pods are ready", lambda: sum(pod.is_ready for pod in self._all()) == replicas)

    def pods(self) -> list[cell.Pod]:
        return list(self._all())

    def _all(self) -> list[ClusterPod]:
        self.refresh()
        return list(self._pods.values())

    def refresh(self) -> None:
        """List the pods, unless that has just been done."""
        if time.monotonic() - self._refreshed < POLL_PERIOD:
            return
        pods = self._client.list(PodResource, namespace=self.namespace, labels={"app": "worker"})
        found = sorted((pod.to_dict() for pod in pods), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
        for pod in found:
            name = pod["metadata"]["name"]
            self._pods.setdefault(name, ClusterPod(self, name, pod)).seen = pod
        names = {pod["metadata"]["name"] for pod in found}
        for name, known in self._pods.items():
            known.absent = name not in names
        self._refreshed = time.monotonic()

    def scale(self, replicas: int) -> None:
        alive = sum(not pod.is_deleted for pod in self._all())
        self._patch({"spec": {"replicas": replicas}})
        self.until("pods are deleted", lambda: sum(not pod.is_deleted for pod in self._all()) < alive)

    def roll_out(self) -> None:
        old = self._all()
        replicas = self.manifest["spec"]["replicas"]
        self._patch({"spec": {"template": {"metadata": {"annotations": {"revision": "2"}}}}})
        self.until("the old pods are deleted", lambda: all(pod.is_deleted for pod in old))
        self.until("the new pods are ready", lambda: sum(pod.is_ready for pod in self._all()) == replicas)

    def _patch(self, patch: Json) -> None:
        self._client.patch(Deployment, self.manifest["metadata"]["name"], patch, namespace=self.namespace)

    def create(self) -> cell.Pod:
        name = f"worker-bare-{next(self._bare)}"
        metadata = {**self.template["metadata"], "namespace": self.namespace}
        self._create(builders.pod(name, metadata=metadata, **self.template["spec"]))
        self._refreshed = 0
        self.refresh()
        return self._pods[name]

    def delete(self, pod: cell.Pod, grace: float | None = None, *, replace: bool = True) -> None:
        seconds = None if grace is None else int(grace)
        if seconds is None:
            self._client.delete(PodResource, pod.name, namespace=self.namespace)
        else:
            eviction = PodResource.Eviction(
                metadata=ObjectMeta(name=pod.name, namespace=self.namespace),
                deleteOptions=DeleteOptions(gracePeriodSeconds=seconds),
            )
            self._client.create(eviction, pod.name)
        self._refreshed = 0

    def _run_once(self, argv: list[str]) -> None:
        self._exec("sender", argv)

    def _exec(self, pod: str, argv: list[str], container: str = "main") -> str:
        return asyncio.run(_executed(pod, argv, self.namespace, container))

    def _read_ledger(self) -> str:
        """Return the ledger's text, unless it has just been read."""
        when, text = self._read
        if time.monotonic() - when > POLL_PERIOD:
            text = self._exec("broker", ["/bin/sh", "-c", "cat /ledger/ledger 2>/dev/null || true"])
            self._read = (time.monotonic(), text)
        return text

    # Disruptions

    def hang(self, container: str) -> None:
        self._exec(self.pod.name, ["touch", "/tmp/hung"], container)

    def take_broker_away(self) -> None:
        self._exec("broker", ["/bin/sh", "-c", "touch /tmp/away; redis-cli shutdown nosave || true"])

    def bring_broker_back(self) -> None:
        self._exec("broker", ["rm", "/tmp/away"])

    def run_out_of_memory(self, pod: cell.Pod) -> None:
        raise NotImplementedError(_NEVER)

    def break_hooks(self, pod: cell.Pod) -> None:
        raise NotImplementedError(_NEVER)

    def restart_kubelet(self, pod: cell.Pod) -> None:
        raise NotImplementedError(_NEVER)

    def close(self) -> None:
        """Remove everything, without grace."""
        with suppress(ApiError, HTTPError, AssertionError):
            self._exec("broker", ["rm", "-rf", "/ledger/ledger"])
        with suppress(ApiError):
            self._client.delete(Deployment, self.manifest["metadata"]["name"], namespace=self.namespace)
        for pod in self._client.list(PodResource, namespace=self.namespace):
            with suppress(ApiError):
                self._client.delete(PodResource, pod.metadata.name, namespace=self.namespace, grace_period=0)  # type: ignore[union-attr,arg-type]
        self._client.delete(Namespace, self.namespace)


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder), path.read_text()


def _key(path: Path) -> str:
    """Return a path as a valid key of a ConfigMap."""
    return str(path).replace("/", "__")


async def _executed(pod: str, argv: list[str], namespace: str, container: str) -> str:
    """Run a command in a container, and return its output.

    lightkube's synchronous client is not used: its websocket has a thread that closes file descriptors which may
    have been reused by then (seen as a TLS error on the next connection, lightkube 1.0.1).
    """
    client = AsyncClient()
    try:
        response = await client.exec(
            pod,
            namespace=namespace,
            container=container,
            command=argv,
            stdout=True,
            stderr=True,
            timeout=cell.TIMEOUT_SECONDS,
        )
    finally:
        await client.close()
    assert response.exit_code == 0, f"{argv}: {response.stderr!r}"
    assert isinstance(response.stdout, str)
    return response.stdout
