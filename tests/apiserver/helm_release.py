"""Installs the chart as a Helm release in the tests' API server, which calls the webhook through its Service.

The Service's cluster IP is a loopback address, so the API server finds the replicas as it does in a cluster: it looks
the Service up, and the call fails if the Service is deleted. No kubelet runs here, so this module also ends the
replicas when their Deployment is deleted.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.installation import CONFIGURATION, write_kubeconfig
from tests.apiserver.replicas import Replicas
from tests.builders import pod
from tests.deploy.chart.templates import CHART, ROOT
from tests.pod_stream import PodStream
from webhook.core.annotations import LABEL, LABEL_ENABLED

SERVICES = "127.77.0.0/24"
NAME = "graceful-worker"
NAMESPACE = "platform"
WORKERS = "workers"
DRAIN = 5
"""For how many seconds a replica keeps serving after SIGTERM; the Deployment sets 15."""
IGNORED = {"events", "leases", "namespaces"}
"""Resources that the API server itself creates, or that `helm --create-namespace` creates and does not delete."""


def service_missing() -> str:
    """Return why this process cannot listen on the Service's port; empty if it can."""
    try:
        socket.create_server(("127.77.0.250", 443)).close()
    except OSError as error:
        return f"nobody may listen at port 443 of loopback here ({error}): root may"
    return ""


@dataclass(frozen=True)
class Tool:
    """A Helm binary, and its flags for taking over what another tool has installed."""

    program: str
    takes_over: tuple[str, ...] = ("--take-ownership",)


@dataclass(frozen=True)
class Release:
    """A release, and the Helm commands that act on it."""

    plane: ControlPlane
    tool: Tool
    kubeconfig: Path
    namespace: str = NAMESPACE

    def helm(self, verb: str, *arguments: str) -> str:
        """Run Helm on the release, and return its output."""
        return self._run(verb, NAME, *arguments)

    def _run(self, *arguments: str) -> str:
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        command = [self.tool.program, *arguments, "--namespace", self.namespace]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def install(self, *arguments: str, chart: Path = CHART) -> str:
        return self.helm("install", str(chart), "--create-namespace", *arguments)

    def upgrade(self, *arguments: str, chart: Path = CHART) -> str:
        return self.helm("upgrade", str(chart), *arguments)

    def hooks(self) -> str:
        return self._run("get", "hooks", NAME)

    def service_address(self) -> str:
        path = f"/api/v1/namespaces/{self.namespace}/services/{NAME}"
        return str(self.plane.client.get(path).raise_for_status().json()["spec"]["clusterIP"])

    def clients(self) -> list[dict[str, Any]]:
        """Return the clientConfig of each entry of the configuration."""
        entries = self.plane.client.get(CONFIGURATION).raise_for_status().json()["webhooks"]
        return [entry["clientConfig"] for entry in entries]

    def deployment(self) -> dict[str, Any] | None:
        response = self.plane.client.get(f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{NAME}")
        return response.json() if response.is_success else None


@contextmanager
def release(plane: ControlPlane, tool: Tool, directory: Path, namespace: str = NAMESPACE) -> Iterator[Release]:
    """Yield a release that is not installed yet, and uninstall it at the end."""
    one = Release(plane, tool, write_kubeconfig(plane, directory / "helm.kubeconfig"), namespace)
    try:
        yield one
    finally:
        one.helm("uninstall", "--ignore-not-found")


@contextmanager
def ending_with_the_deployment(one: Release, group: Replicas) -> Iterator[None]:
    """Terminate the replicas when the Deployment is deleted, as a kubelet does."""
    over = threading.Event()

    def poll() -> None:
        while not over.wait(0.05):
            if one.deployment() is None:
                for replica in group.running:
                    replica.process.terminate()
                return

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def objects(plane: ControlPlane) -> set[str]:
    """Return all objects in the API server, as resource, namespace and name."""
    groups = plane.client.get("/apis").raise_for_status().json()["groups"]
    paths = ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)]
    found = set()
    for path in paths:
        for resource in plane.client.get(path).raise_for_status().json()["resources"]:
            if "list" in resource["verbs"] and "/" not in resource["name"] and resource["name"] not in IGNORED:
                items = _listed(plane, f"{path}/{resource['name']}")
                found |= {
                    f"{resource['name']} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}"
                    for item in items
                }
    return found


def _listed(plane: ControlPlane, path: str) -> list[dict[str, Any]]:
    """List a resource; for a kind that was just defined, the API server first responds 429, so retry."""
    for _ in range(100):
        response = plane.client.get(path)
        if response.status_code != httpx.codes.TOO_MANY_REQUESTS:
            break
        time.sleep(0.1)
    return list(response.raise_for_status().json()["items"] or ())


def try_labelled_pod(plane: ControlPlane) -> tuple[str, bool]:
    """Create a labelled pod as a dry run; return the error, if any, and whether the pod is protected."""
    return plane.try_pod(WORKERS, pod(labels={LABEL: LABEL_ENABLED}))


def labelled_pods(plane: ControlPlane) -> PodStream:
    """Have four clients create labelled pods until the block ends."""
    return PodStream(partial(try_labelled_pod, plane), clients=4)


def previous_chart(directory: Path) -> Path | None:
    """Return the newest chart in the git history that differs from the current one; None if no chart does."""
    folder = CHART.relative_to(ROOT)

    def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)

    for commit in git("log", "--format=%H", "--", str(folder)).stdout.decode().split():
        if git("diff", "--quiet", commit, "--", str(folder)).returncode:
            archive = git("archive", commit, str(folder))
            subprocess.run(["tar", "-x", "-C", str(directory)], input=archive.stdout, check=True)
            return directory / folder
    return None
