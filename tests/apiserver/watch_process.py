"""`graceful-worker watch` as a process with the rights that deploy/ gives it, and pods that no kubelet runs."""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import jsonpatch

from tests.apiserver.control_plane import ControlPlane, free_ports
from tests.apiserver.installation import CONFIGURATION, NAMESPACE, apply, service_account_token, write_kubeconfig
from tests.builders import Json, owner_reference, pod
from webhook.core.injection import inject
from webhook.core.policy import Policy

ACCOUNT = "graceful-worker-watch"
SHOP = "shop"
PODS = f"/api/v1/namespaces/{SHOP}/pods"
GRACE = 3600
TIMEOUT_SECONDS = 120
MERGE = {"Content-Type": "application/strategic-merge-patch+json"}


class WatchProcess:
    """A running watch."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        (self.port,) = free_ports(1)
        self.log = directory / "watch.log"
        command = ["-m", "webhook", "watch", "--host", "127.0.0.1", "--port", str(self.port), "--namespace", NAMESPACE]
        with self.log.open("wb") as log:
            environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
            self.process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log, env=environment)

    def get(self, path: str) -> int:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=30).status_code
        except httpx.TransportError:
            return 0

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=30).text

    def total(self, metric: str, **labels: str) -> float:
        """Return the sum of the series that have the given labels."""
        lines = re.findall(rf"^{metric}(?:{{(.*)}})? (\S+)$", self.metrics(), re.MULTILINE)
        wanted = [f'{name}="{value}"' for name, value in labels.items()]
        return sum(float(value) for found, value in lines if all(each in found.split(",") for each in wanted))

    def outcomes(self) -> dict[str, int]:
        """Return how many drains have ended, by outcome."""
        found: dict[str, int] = {}
        for line in self.metrics().splitlines():
            if line.startswith("graceful_worker_drains_total{") and not line.endswith(" 0.0"):
                outcome = line.partition('outcome="')[2].partition('"')[0]
                found[outcome] = found.get(outcome, 0) + int(float(line.rpartition(" ")[2]))
        return found

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.2)

    def stop(self) -> None:
        """End it as the kubelet does."""
        self.process.terminate()
        assert self.process.wait(30) == 0, self.log.read_text()[-3000:]


@contextmanager
def running_watch(
    plane: ControlPlane, directory: Path, meanwhile: Callable[[], bool] = lambda: True
) -> Iterator[WatchProcess]:
    """Run a watch, and wait until `meanwhile` returns true and the watch has listed the pods."""
    (directory / "watch.log").unlink(missing_ok=True)
    kubeconfig = write_kubeconfig(plane, directory / "watch.kubeconfig", service_account_token(plane, ACCOUNT))
    watch = WatchProcess(kubeconfig, directory)
    try:
        watch.until(lambda: meanwhile() and watch.get("/readyz") == 200)
        yield watch
        watch.stop()
    finally:
        watch.process.kill()
        watch.process.wait()


def install(plane: ControlPlane, directory: Path) -> None:
    """Install the watch; the webhook itself does not run, so delete its configuration."""
    apply(plane, directory, "overlays/drain-watch")
    plane.client.delete(CONFIGURATION).raise_for_status()
    plane.create_namespace(SHOP, {})


class Pods:
    """Creates protected pods and lets them end, as controllers and kubelets do."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        raw = pod("worker", labels={"graceful-worker": "enabled"}, nodeName="nowhere")
        self._bare = raw
        self._protected = jsonpatch.apply_patch(raw, inject(raw, Policy(GRACE)).patch)

    def create(self, name: str, owner: str = "emails", uid: str = "1", *, protected: bool = True) -> None:
        self._post(name, owner_reference("ReplicaSet", f"{owner}-1", uid), protected)

    def create_owned(self, name: str, owner: Json) -> None:
        """Create a pod that an object in the API server owns directly."""
        metadata = owner["metadata"]
        self._post(name, owner_reference(owner["kind"], metadata["name"], metadata["uid"], owner["apiVersion"]), True)

    def _post(self, name: str, owner: Json, protected: bool) -> None:
        raw = json.loads(json.dumps(self._protected if protected else self._bare))
        labels = {**raw["metadata"]["labels"], "pod-template-hash": "1"}
        raw["metadata"] |= {"name": name, "labels": labels, "ownerReferences": [owner]}
        self._plane.create_pod(SHOP, raw).raise_for_status()

    def delete(self, name: str, period: int = GRACE) -> None:
        """Delete a pod: it stays until the test removes it, because its node has no kubelet."""
        options = {"gracePeriodSeconds": period}
        self._plane.client.request("DELETE", f"{PODS}/{name}", json=options).raise_for_status()

    def end(self, name: str, seconds: float, code: int = 0, reason: str = "Completed") -> None:
        """Write the worker's final state to the pod's status as a kubelet does, and remove the pod."""
        metadata = self._plane.client.get(f"{PODS}/{name}").raise_for_status().json()["metadata"]
        deadline = datetime.datetime.fromisoformat(metadata["deletionTimestamp"])
        begun = deadline - datetime.timedelta(seconds=metadata["deletionGracePeriodSeconds"])
        at = (begun + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        terminated = {"exitCode": code, "reason": reason, "finishedAt": at, "startedAt": at}
        status = {"name": "worker", "image": "shop:1", "imageID": "", "ready": False, "restartCount": 0}
        body = {"status": {"containerStatuses": [{**status, "state": {"terminated": terminated}}]}}
        url = f"{PODS}/{name}"
        self._plane.client.patch(f"{url}/status", content=json.dumps(body), headers=MERGE).raise_for_status()
        self._plane.client.request("DELETE", url, json={"gracePeriodSeconds": 0}).raise_for_status()

    def remove(self, name: str) -> None:
        """Remove a pod by force."""
        options = {"gracePeriodSeconds": 0}
        self._plane.client.request("DELETE", f"{PODS}/{name}", json=options).raise_for_status()


def in_parallel(act: Callable[[int], None], count: int) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(act, range(count)))
