"""Watches pods in a real cluster until they are gone: their statuses, and their log lines with timestamps."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from httpx2 import HTTPError
from lightkube import ApiError, AsyncClient, Client
from lightkube.codecs import from_dict
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap, Event, Namespace
from lightkube.resources.core_v1 import Pod as PodResource

from tests import builders
from tests.node.specification import Json

PROGRAMS = Path(__file__).parent / "programs"
TIMEOUT_SECONDS = 150
"""The timeout of every wait: long, because all pods start at once."""
_POD = {"apiVersion": "v1", "kind": "Pod"}
_DECODING = threading.Lock()
_FRACTION = re.compile(r"(\.\d{1,6})\d*")


@dataclass(frozen=True)
class Line:
    """A line of a container's log, with its timestamp by the node's clock."""

    when: float
    container: str
    text: str


@dataclass
class WatchedPod:
    """A pod, and all that has been seen of it."""

    namespace: WatchedNamespace
    name: str
    seen: Json = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    deleted_at: float = 0
    gone_at: float = 0
    followed: dict[str, threading.Thread] = field(default_factory=dict)

    def until(self, what: str, condition: Callable[[], bool], seconds: float = TIMEOUT_SECONDS) -> None:
        with self.namespace.changed:
            assert self.namespace.changed.wait_for(condition, seconds), f"{self.name}: not {what}: {self.describe()}"

    def line(self, text: str, container: str = "worker", number: int = 1) -> Line:
        """Wait for a line that begins with a text, and return it."""

        def found() -> list[Line]:
            return [line for line in self.lines if line.container == container and line.text.startswith(text)]

        self.until(f"{text!r} in the log of {container}", lambda: len(found()) >= number)
        return found()[number - 1]

    def texts(self, container: str = "worker") -> list[str]:
        return [line.text for line in sorted(self.lines, key=lambda line: line.when) if line.container == container]

    def count(self, text: str, container: str = "worker") -> int:
        return sum(content.startswith(text) for content in self.texts(container))

    def until_running(self) -> None:
        """Wait until all containers run."""
        names = {container["name"] for container in self.seen["spec"]["containers"]}
        self.until("running", lambda: {n for n, s in self.statuses().items() if "running" in s["state"]} == names)

    def until_started(self, container: str = "worker") -> None:
        """Wait until a container runs, or has run: on a busy node, a short one may end before it is reported."""
        started = {"running", "terminated"}
        self.until("started", lambda: bool(started & self.statuses().get(container, {}).get("state", {}).keys()))

    def statuses(self) -> dict[str, Json]:
        return {status["name"]: status for status in self.seen.get("status", {}).get("containerStatuses", [])}

    def restarts(self, container: str) -> int:
        return int(self.statuses().get(container, {}).get("restartCount", 0))

    def exit_code(self, container: str = "worker") -> int:
        """Return the exit code from the last update before the object was deleted."""
        return int(self._end(container)["exitCode"])

    def reason(self, container: str = "worker") -> str:
        return str(self._end(container)["reason"])

    def message(self, container: str = "worker") -> str:
        """Return the container's termination message; empty if it has none."""
        return str(self._end(container).get("message", ""))

    def _end(self, container: str) -> Json:
        end: Json = self.statuses()[container]["state"]["terminated"]
        return end

    def delete(self) -> None:
        self.deleted_at = time.monotonic()
        self.namespace.delete(self.name)

    def until_gone(self) -> float:
        """Wait until the object is gone, and return the seconds from the deletion."""
        self.until("gone", lambda: bool(self.gone_at))
        for follower in list(self.followed.values()):
            follower.join(10)
        return self.gone_at - self.deleted_at

    def end(self) -> float:
        """Delete it, and return the seconds until it is gone."""
        self.delete()
        return self.until_gone()

    def execute(self, argv: list[str], container: str = "worker") -> None:
        asyncio.run(_execute(self.namespace.name, self.name, container, argv))

    def describe(self) -> str:
        return f"{self.command()[-3:]} {self.texts()} {self.statuses()}"

    def command(self) -> list[str]:
        """Return the worker's command, as it was patched."""
        command: list[str] = self.seen["spec"]["containers"][0].get("command", [])
        return command


class WatchedNamespace:
    """A namespace whose pods are watched; its labels may select them for a webhook."""

    def __init__(self, labels: dict[str, str] | None = None) -> None:
        self.name = f"graceful-worker-e2e-{time.time_ns():x}"
        self.changed = threading.Condition()
        self._pods: dict[str, WatchedPod] = {}
        self._over = False
        self._number = 0
        self._client = Client()
        self._client.create(Namespace(metadata=ObjectMeta(name=self.name, labels=labels)))
        texts = {path.name: path.read_text() for path in PROGRAMS.iterdir() if path.is_file()}
        self._client.create(ConfigMap(metadata=ObjectMeta(name="programs", namespace=self.name), data=texts))
        _decode_everything(self._client)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def create(self, manifest: Json, kind: str = "") -> WatchedPod:
        """Create a pod from a manifest without a name."""
        with self.changed:
            self._number += 1
            name = f"{kind}{'-' if kind else ''}{self._number}"
            pod = self._pods[name] = WatchedPod(self, name, manifest)
        self.create_other({**manifest, **_POD, "metadata": {**manifest.get("metadata", {}), "name": name}})
        return pod

    def create_other(self, manifest: Json) -> None:
        """Create an object of any kind."""
        with _DECODING:
            model = from_dict({**manifest, "metadata": {**manifest["metadata"], "namespace": self.name}})
        self._client.create(model)

    def await_pod(self, label: str, value: str) -> WatchedPod:
        """Wait for a pod that another client creates."""

        def found() -> list[WatchedPod]:
            pods = self._pods.values()
            return [pod for pod in pods if pod.seen.get("metadata", {}).get("labels", {}).get(label) == value]

        with self.changed:
            assert self.changed.wait_for(lambda: bool(found()), TIMEOUT_SECONDS), f"no pod with {label}={value}"
            return found()[0]

    def delete(self, name: str) -> None:
        self._client.delete(PodResource, name, namespace=self.name)

    def pods_with_event(self, reason: str) -> list[WatchedPod]:
        """Return the pods with events of a reason, such as `FailedPreStopHook`."""
        found = self._client.list(Event, namespace=self.name, fields={"reason": reason})
        names = {str(event.involvedObject.name) for event in found}
        return [self._pods[name] for name in sorted(names)]

    def close(self) -> None:
        self._over = True
        for name in [name for name, pod in self._pods.items() if not pod.gone_at]:
            with suppress(ApiError):
                self._client.delete(PodResource, name, namespace=self.name, grace_period=0)
        self._client.delete(Namespace, self.name)
        self._client.close()

    def _watch(self) -> None:
        client = Client()
        while not self._over:
            with suppress(ApiError, HTTPError):
                for kind, pod in client.watch(PodResource, namespace=self.name, server_timeout=300):
                    self._take(kind, pod.to_dict())
                    if self._over:
                        break

    def _take(self, kind: str, seen: Json) -> None:
        name = seen["metadata"]["name"]
        with self.changed:
            pod = self._pods.setdefault(name, WatchedPod(self, name))
            pod.seen = seen
            for container, status in pod.statuses().items():
                self._follow(pod, container, status)
            if kind == "DELETED":
                pod.gone_at = time.monotonic()
            self.changed.notify_all()

    def _follow(self, pod: WatchedPod, container: str, status: Json) -> None:
        identity = status.get("containerID", "")
        if not identity or identity in pod.followed or not {"running", "terminated"} & status["state"].keys():
            return
        thread = threading.Thread(target=self._read_log, args=(pod, container), daemon=True)
        pod.followed[identity] = thread
        thread.start()

    def _read_log(self, pod: WatchedPod, container: str) -> None:
        client = Client()
        with suppress(ApiError, HTTPError):
            log = client.log(
                pod.name, namespace=self.name, container=container, follow=True, timestamps=True, newlines=False
            )
            for text in log:
                when, _, content = text.partition(" ")
                with self.changed:
                    pod.lines.append(Line(_seconds(when), container, content))
                    self.changed.notify_all()
        client.close()


def _decode_everything(client: Client) -> None:
    """Make msgspec inspect the types of a pod before other threads start: two that do so at once crash it."""
    from_dict(builders.pod())
    list(client.list(PodResource, namespace="*"))


def _seconds(when: str) -> float:
    return datetime.fromisoformat(_FRACTION.sub(r"\1", when)).timestamp()


@contextmanager
def watched_namespace(labels: dict[str, str] | None = None) -> Iterator[WatchedNamespace]:
    namespace = WatchedNamespace(labels)
    try:
        yield namespace
    finally:
        namespace.close()


async def _execute(namespace: str, pod: str, container: str, argv: list[str]) -> None:
    client = AsyncClient()
    try:
        await client.exec(
            pod,
            namespace=namespace,
            container=container,
            command=argv,
            stdout=True,
            stderr=True,
            timeout=TIMEOUT_SECONDS,
        )
    finally:
        await client.close()
