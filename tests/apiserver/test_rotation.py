"""Three replicas share a CA in a real API server: it is rotated and restored, and no pod is created unpatched."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from tests.builders import pod
from tests.pod_stream import PodStream
from tests.waiting import wait_until
from webhook.core.annotations import LABEL, LABEL_ENABLED

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(bool(kubectl_missing()), reason=kubectl_missing()),
    pytest.mark.xdist_group("apiserver"),
    pytest.mark.timeout(1200),
    # A replica that is killed in a handshake leaves httpx with a socket that it does not close.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROTATIONS = int(os.environ.get("ROTATIONS", "5"))
"""How often the CA is rotated under load; `make test-apiserver` sets 100."""
SECRET_PATH = f"/api/v1/namespaces/{NAMESPACE}/secrets"
MERGE = {"Content-Type": "application/merge-patch+json"}
OF_NAMESPACES, OF_LABELLED_PODS, OF_EVICTIONS = range(3)
"""The indexes of the entries in the configuration."""
HEALINGS = "graceful_worker_bundle_healings_total"
FOREIGN = base64.b64encode(b"nonsense").decode()


@dataclass
class Cluster:
    """The API server, and the replicas that it calls."""

    plane: ControlPlane
    replicas: Replicas

    def secret(self) -> dict[str, Any]:
        found: dict[str, Any] = self.plane.client.get(f"{SECRET_PATH}/graceful-worker-ca").raise_for_status().json()
        return found

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

    def rotate(self, value: str) -> None:
        """Request a new CA by a new value of the annotation, and wait until it is stored."""
        before = self.current_ca()
        body = json.dumps({"metadata": {"annotations": {"graceful-worker/rotate": value}}})
        url = f"{SECRET_PATH}/graceful-worker-ca"
        self.plane.client.patch(url, content=body, headers=MERGE).raise_for_status()
        wait_until(lambda: self.current_ca() != before)

    def forget_previous_cas(self) -> None:
        patch = json.dumps([{"op": "remove", "path": "/data/previous.crt"}])
        url = f"{SECRET_PATH}/graceful-worker-ca"
        self.plane.client.patch(url, content=patch, headers=JSON_PATCH).raise_for_status()

    def protects(self) -> bool:
        """Return whether a pod would be protected, by a dry run."""
        return self.plane.try_pod("workers", pod()) == ("", True)

    @contextmanager
    def every_pod_is_protected(self) -> Iterator[None]:
        """Create pods continuously; if one is refused or not patched, show the logs of the replicas."""
        with PodStream(lambda: self.plane.try_pod("workers", pod()), pause=0.02) as stream:
            yield
        logs = "\n".join(replica.log.read_text()[-3000:] for replica in self.replicas.running)
        stream.assert_unbroken(
            f"{stream.refused}; {stream.unprotected} were not patched; {self.replicas.turned_away} connections found "
            f"no replica ready; the logs end:\n{logs}"
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("rotation")
    with control_plane(directory) as plane:
        apply(plane, directory)
        plane.create_namespace("workers", {LABEL: LABEL_ENABLED})
        with replicas(plane, directory, 3) as group:
            call_at(plane, f"https://127.0.0.1:{group.port}/mutate")
            group.wait_until_ready(3)
            cluster = Cluster(plane, group)
            wait_until(cluster.protects)
            yield cluster


def test_replicas_that_start_at_once_share_one_ca(cluster: Cluster) -> None:
    assert len(set(cluster.bundles())) == 1
    assert cluster.secret()["type"] == "kubernetes.io/tls"


def test_a_first_installation_is_not_counted_as_a_healing(cluster: Cluster) -> None:
    assert cluster.replicas.count(HEALINGS) == 0


def test_every_entry_calls_the_path_that_belongs_to_the_ca(cluster: Cluster) -> None:
    data = cluster.secret()["data"]
    authority = Authority(base64.b64decode(data["tls.crt"]), base64.b64decode(data["tls.key"]))
    assert set(cluster.paths()) == {secret_path(authority)}


@pytest.mark.parametrize("position", [OF_LABELLED_PODS, OF_EVICTIONS])
def test_a_path_that_is_reset_is_restored_and_pods_are_patched_meanwhile(cluster: Cluster, position: int) -> None:
    before = cluster.paths()
    with cluster.every_pod_is_protected():
        cluster.set_url(f"https://127.0.0.1:{cluster.replicas.port}/mutate", position)
        assert wait_until(lambda: cluster.paths() == before) < 5


@pytest.mark.parametrize("position", [OF_NAMESPACES, OF_EVICTIONS])
@pytest.mark.parametrize("bundle", [None, FOREIGN])
def test_a_bundle_that_is_emptied_or_altered_is_restored_within_seconds(
    cluster: Cluster, bundle: str | None, position: int
) -> None:
    before, healings = set(cluster.bundles()), cluster.replicas.count(HEALINGS)
    cluster.set_bundle(bundle, position)
    assert wait_until(lambda: set(cluster.bundles()) == before) < 5
    wait_until(lambda: cluster.replicas.count(HEALINGS) == healings + 1)
    wait_until(cluster.protects)


def test_a_deleted_secret_is_recreated_with_the_same_ca(cluster: Cluster) -> None:
    before = cluster.current_ca()
    with cluster.every_pod_is_protected():
        cluster.plane.client.delete(f"{SECRET_PATH}/graceful-worker-ca").raise_for_status()
        wait_until(lambda: cluster.plane.client.get(f"{SECRET_PATH}/graceful-worker-ca").is_success)
        time.sleep(2)
    assert cluster.current_ca() == before


def test_rotations_fail_no_pod_creation(cluster: Cluster) -> None:
    with cluster.every_pod_is_protected():
        for number in range(ROTATIONS):
            cluster.rotate(str(number))


def test_an_old_ca_that_is_removed_from_the_secret_is_no_longer_trusted(cluster: Cluster) -> None:
    with cluster.every_pod_is_protected():
        cluster.rotate("its key was seen by somebody")
        time.sleep(3 * PROPAGATION_SECONDS)
        cluster.forget_previous_cas()
        only = cluster.secret()["data"]["tls.crt"]
        wait_until(lambda: set(cluster.bundles()) == {only}, LEAF_SECONDS / 2)
        time.sleep(1)
    assert set(cluster.bundles()) == {only}


def test_a_rolling_restart_of_the_replicas_fails_no_pod_creation(cluster: Cluster) -> None:
    with cluster.every_pod_is_protected():
        for replica in list(cluster.replicas.running):
            cluster.replicas.start()
            cluster.replicas.wait_until_ready(4)
            cluster.replicas.stop(replica)
