"""Three replicas keep their CA in a real API server: it is rotated and healed, and no pod is created unpatched."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from certs.authority import Authority
from certs.review_path import secret_path
from tests.apiserver.control_plane import ControlPlane, control_plane, missing
from tests.apiserver.installation import (
    CONFIGURATION,
    JSON_PATCH,
    NAMESPACE,
    apply,
    call_at,
    configuration,
    kubectl_missing,
)
from tests.apiserver.replicas import LEAF_SECONDS, PROPAGATION_SECONDS, Replicas, replicas
from webhook.core.annotations import INJECTED_LABEL, LABEL, LABEL_ENABLED

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(bool(kubectl_missing()), reason=kubectl_missing()),
    pytest.mark.xdist_group("apiserver"),
    pytest.mark.timeout(1200),
    # A replica that is killed in a handshake leaves httpx with a socket that it does not close.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROTATIONS = int(os.environ.get("ROTATIONS", "5"))
"""How often the CA is rotated under load; `make test-apiserver` says 100."""
SECRET_PATH = f"/api/v1/namespaces/{NAMESPACE}/secrets"
MERGE = {"Content-Type": "application/merge-patch+json"}
OF_NAMESPACES, OF_LABELLED_PODS, OF_EVICTIONS = range(3)
"""Where the entries stand in the configuration."""
HEALINGS = "graceful_worker_bundle_healings_total"
FOREIGN = base64.b64encode(b"nonsense").decode()


@dataclass
class Cluster:
    """The API server, and the replicas that it calls."""

    plane: ControlPlane
    replicas: Replicas

    def secret(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.plane.client.get(f"{SECRET_PATH}/graceful-worker-ca").raise_for_status().json()
        return answer

    def current_ca(self) -> str:
        return str(self.secret()["data"]["tls.crt"])

    def bundles(self) -> list[str]:
        return [entry["clientConfig"].get("caBundle", "") for entry in configuration(self.plane)["webhooks"]]

    def set_bundle(self, bundle: str | None, position: int) -> None:
        path = f"/webhooks/{position}/clientConfig/caBundle"
        patch = [{"op": "replace", "path": path, "value": bundle}] if bundle else [{"op": "remove", "path": path}]
        self.plane.client.patch(CONFIGURATION, content=json.dumps(patch), headers=JSON_PATCH).raise_for_status()

    def paths(self) -> list[str]:
        return [urlsplit(entry["clientConfig"]["url"]).path for entry in configuration(self.plane)["webhooks"]]

    def set_url(self, url: str, position: int) -> None:
        patch = [{"op": "replace", "path": f"/webhooks/{position}/clientConfig/url", "value": url}]
        self.plane.client.patch(CONFIGURATION, content=json.dumps(patch), headers=JSON_PATCH).raise_for_status()

    def ask_for_rotation(self, value: str) -> None:
        body = json.dumps({"metadata": {"annotations": {"graceful-worker/rotate": value}}})
        url = f"{SECRET_PATH}/graceful-worker-ca"
        self.plane.client.patch(url, content=body, headers=MERGE).raise_for_status()

    def forget_previous_cas(self) -> None:
        patch = json.dumps([{"op": "remove", "path": "/data/previous.crt"}])
        url = f"{SECRET_PATH}/graceful-worker-ca"
        self.plane.client.patch(url, content=patch, headers=JSON_PATCH).raise_for_status()

    def create(self) -> str:
        """Create a pod without storing it; say what went wrong, empty where nothing did."""
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": "worker-"},
            "spec": {"containers": [{"name": "worker", "image": "shop:1", "command": ["celery", "worker"]}]},
        }
        answer = self.plane.create_pod("workers", pod, dry_run=True)
        if not answer.is_success:
            return answer.text
        return "" if answer.json()["metadata"].get("labels", {}).get(INJECTED_LABEL) == "true" else "not patched"


@dataclass
class Stream:
    """Pods that are created all the time."""

    cluster: Cluster
    created: int = 0
    failures: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Stream:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._over.wait(0.02):
            failure = self.cluster.create()
            self.created += 1
            self.failures += [failure] if failure else []

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def assert_unbroken(self) -> None:
        """Check that no creation failed; if one did, tell of it what only the replicas know."""
        group = self.cluster.replicas
        logs = "\n".join(replica.log.read_text()[-3000:] for replica in group.running)
        assert self.failures == [], f"{group.turned_away} connections found no replica ready; the logs end:\n{logs}"
        assert self.created > 0


def until(condition: Any, seconds: float = 30) -> float:
    """Wait until something is true; return how long it took, in seconds."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < seconds
        time.sleep(0.05)
    return time.monotonic() - begin


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    room = tmp_path_factory.mktemp("rotation")
    with control_plane(room) as plane:
        apply(plane, room)
        plane.create_namespace("workers", {LABEL: LABEL_ENABLED})
        with replicas(plane, room, 3) as group:
            call_at(plane, f"https://127.0.0.1:{group.port}/mutate")
            group.wait_until_ready(3)
            cluster = Cluster(plane, group)
            until(lambda: not cluster.create())
            yield cluster


def test_replicas_that_start_at_once_share_one_ca(cluster: Cluster) -> None:
    assert len(set(cluster.bundles())) == 1
    assert cluster.secret()["type"] == "kubernetes.io/tls"


def test_a_first_installation_is_no_healing(cluster: Cluster) -> None:
    assert cluster.replicas.count(HEALINGS) == 0


def test_every_entry_calls_the_path_that_goes_with_the_ca(cluster: Cluster) -> None:
    data = cluster.secret()["data"]
    authority = Authority(base64.b64decode(data["tls.crt"]), base64.b64decode(data["tls.key"]))
    assert set(cluster.paths()) == {secret_path(authority)}


@pytest.mark.parametrize("position", [OF_LABELLED_PODS, OF_EVICTIONS])
def test_a_path_that_somebody_resets_is_healed_and_pods_are_patched_meanwhile(cluster: Cluster, position: int) -> None:
    before = cluster.paths()
    with Stream(cluster) as stream:
        cluster.set_url(f"https://127.0.0.1:{cluster.replicas.port}/mutate", position)
        assert until(lambda: cluster.paths() == before) < 5
    stream.assert_unbroken()


@pytest.mark.parametrize("position", [OF_NAMESPACES, OF_EVICTIONS])
@pytest.mark.parametrize("bundle", [None, FOREIGN])
def test_a_bundle_that_somebody_empties_or_alters_is_healed_within_seconds(
    cluster: Cluster, bundle: str | None, position: int
) -> None:
    before, healings = set(cluster.bundles()), cluster.replicas.count(HEALINGS)
    cluster.set_bundle(bundle, position)
    assert until(lambda: set(cluster.bundles()) == before) < 5
    until(lambda: cluster.replicas.count(HEALINGS) == healings + 1)
    until(lambda: not cluster.create())


def test_a_deleted_secret_is_made_again_with_the_same_ca(cluster: Cluster) -> None:
    before = cluster.current_ca()
    with Stream(cluster) as stream:
        cluster.plane.client.delete(f"{SECRET_PATH}/graceful-worker-ca").raise_for_status()
        until(lambda: cluster.plane.client.get(f"{SECRET_PATH}/graceful-worker-ca").is_success)
        time.sleep(2)
    assert cluster.current_ca() == before
    stream.assert_unbroken()


def test_rotations_fail_no_creation(cluster: Cluster) -> None:
    with Stream(cluster) as stream:
        for number in range(ROTATIONS):
            before = cluster.current_ca()
            cluster.ask_for_rotation(str(number))
            until(lambda before=before: cluster.current_ca() != before, 60)
    stream.assert_unbroken()


def test_an_old_ca_that_is_taken_out_of_the_secret_is_trusted_no_more(cluster: Cluster) -> None:
    with Stream(cluster) as stream:
        before = cluster.current_ca()
        cluster.ask_for_rotation("its key was seen by somebody")
        until(lambda: cluster.current_ca() != before, 60)
        time.sleep(3 * PROPAGATION_SECONDS)
        cluster.forget_previous_cas()
        only = cluster.secret()["data"]["tls.crt"]
        until(lambda: set(cluster.bundles()) == {only}, LEAF_SECONDS / 2)
        time.sleep(1)
    assert set(cluster.bundles()) == {only}
    stream.assert_unbroken()


def test_a_rolling_restart_of_the_replicas_fails_no_creation(cluster: Cluster) -> None:
    with Stream(cluster) as stream:
        for replica in list(cluster.replicas.running):
            cluster.replicas.start()
            cluster.replicas.wait_until_ready(4)
            cluster.replicas.stop(replica)
    stream.assert_unbroken()
