"""Deployments in a real cluster, and the programs of this project that observe them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.apiserver.watch_process import WatchProcess
from tests.builders import deployment
from tests.cluster.test_harm import annotated, pod_of
from tests.cluster.watched_pods import WatchedNamespace, WatchedPod
from tests.drains.process import DrainsProcess
from tests.node.specification import Json

SOURCE = "graceful-worker-watch"


def kubectl(*arguments: str, stdin: str = "") -> str:
    done = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def objects(*arguments: str) -> Any:
    """Return the output of `kubectl get` as JSON objects."""
    return json.loads(kubectl("get", "-o", "json", *arguments))


class Workload:
    """A Deployment of one worker."""

    def __init__(self, namespace: WatchedNamespace, name: str, worker: Json | list[str], **annotations: str) -> None:
        self.namespace = namespace
        self.name = name
        template = annotated(pod_of(worker), **annotations)
        template["metadata"]["labels"]["app"] = name
        namespace.create_other(deployment(name, template))

    def first_pod(self) -> WatchedPod:
        """Wait until the first pod's worker is in mid-message, and return that pod."""
        pod = self.namespace.await_pod("app", self.name)
        pod.line("begin")
        return pod

    def kubectl(self, *arguments: str) -> str:
        return kubectl("-n", self.namespace.name, *arguments)

    def restart(self) -> None:
        self.kubectl("rollout", "restart", f"deployment/{self.name}")

    def pods(self) -> list[Json]:
        """Return the pods that are not being deleted."""
        found = objects("-n", self.namespace.name, "pods", "-l", f"app={self.name}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def events(self) -> list[Json]:
        """Return the events that the watch has written about the Deployment."""
        fields = f"involvedObject.kind=Deployment,involvedObject.name={self.name},source={SOURCE}"
        found: list[Json] = objects("-n", self.namespace.name, "events", "--field-selector", fields)["items"]
        return found

    def outcomes(self, watch: WatchProcess, **also: str) -> dict[str, float]:
        """Return the watch's counts of the Deployment's drains by outcome."""
        names = ("finished", "signalled", "failed", "killed", "cut", "oom", "unseen")
        labels = {"namespace": self.namespace.name, "owner": self.name, **also}
        counts = {name: watch.total("graceful_worker_drains_total", **labels, outcome=name) for name in names}
        return {name: count for name, count in counts.items() if count}


def drains(directory: Path, *arguments: str, size: tuple[int, int] | None = None) -> DrainsProcess:
    """Run `graceful-worker drains` for the cluster; with a size, on a terminal."""
    directory.mkdir(exist_ok=True)
    (directory / "kubeconfig").write_text(Path(os.environ["KUBECONFIG"]).read_text())
    return DrainsProcess(directory, "", *arguments, size=size)


def repair(*arguments: str) -> tuple[int, str]:
    """Run `graceful-worker repair` to its end."""
    command = [sys.executable, "-m", "webhook", "repair", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@contextmanager
def running_watch(directory: Path) -> Iterator[WatchProcess]:
    """Run `graceful-worker watch`, and yield it once it has listed the pods."""
    watch = WatchProcess(Path(os.environ["KUBECONFIG"]), directory)
    try:
        watch.until(lambda: watch.get("/readyz") == 200)
        yield watch
        watch.stop()
    finally:
        watch.process.kill()
        watch.process.wait()
