"""Evictions on a real node: a worker in mid-message finishes, however short the requested grace period is."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from certs.authority import LOCAL_HOSTS, issue_certificate
from tests.cluster.settings import read_harm_refusal
from tests.cluster.test_harm import WORKER, pod_of, start_bare, start_patched
from tests.cluster.watched_pods import WatchedNamespace, WatchedPod, watched_namespace

REFUSAL = read_harm_refusal()
pytestmark = [pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL), pytest.mark.timeout(400)]

SHIPPED = Path(__file__).parent.parent.parent / "deploy" / "base" / "webhook-configuration.yaml"
ENTRY = "pod.eviction.graceful-worker"
CONFIGURATION = "graceful-worker-e2e-evictions"
MESSAGE = 8
"""Remaining seconds of a message: more than the pod's original grace period, less than the raised one."""
IN_MID_MESSAGE = [WORKER, f"after={MESSAGE}"]


@dataclass
class Guard:
    """A webhook on this machine, which the API server calls for the evictions of one namespace."""

    namespace: WatchedNamespace
    process: subprocess.Popen[bytes]
    log: Path


def kubectl(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, check=False)


def configuration(namespace: str, url: str, bundle: str) -> dict[str, Any]:
    """Return a configuration with the shipped entry, limited to one namespace, that calls this machine."""
    shipped = YAML(typ="safe").load(SHIPPED)
    (entry,) = (each for each in shipped["webhooks"] if each["name"] == ENTRY)
    entry["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    entry["clientConfig"] = {"url": url, "caBundle": bundle}
    return {
        "apiVersion": shipped["apiVersion"],
        "kind": shipped["kind"],
        "metadata": {"name": CONFIGURATION},
        "webhooks": [entry],
    }


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    directory = tmp_path_factory.mktemp("guard")
    issue_certificate(LOCAL_HOSTS).write(directory)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "webhook", "serve", "--host=127.0.0.1", f"--port={port}", "--no-registry"]
    command += [
        f"--tls-cert={directory / 'tls.crt'}",
        f"--tls-key={directory / 'tls.key'}",
        "--eviction-guard",
        "--drain=0",
    ]
    bundle = base64.b64encode((directory / "ca.crt").read_bytes()).decode()
    with watched_namespace() as namespace, (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ)
        try:
            manifest = configuration(namespace.name, f"https://127.0.0.1:{port}/mutate", bundle)
            done = kubectl("create", "-f", "-", stdin=json.dumps(manifest))
            assert done.returncode == 0, done.stderr
            # API servers see a new configuration a moment later.
            time.sleep(5)
            yield Guard(namespace, process, directory / "log")
        finally:
            kubectl("delete", "mutatingwebhookconfiguration", CONFIGURATION)
            process.terminate()
            process.wait(30)


def evict(pod: WatchedPod, seconds: int | None) -> str:
    """Evict a pod as `kubectl drain` does, and return the warnings of the API server."""
    options = {} if seconds is None else {"deleteOptions": {"gracePeriodSeconds": seconds}}
    metadata = {"name": pod.name, "namespace": pod.namespace.name}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, **options}
    path = f"/api/v1/namespaces/{pod.namespace.name}/pods/{pod.name}/eviction"
    pod.deleted_at = time.monotonic()
    done = kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("seconds", [0, 1, None])
def test_a_worker_in_mid_message_finishes_it_however_short_the_requested_period_is(
    guard: Guard, seconds: int | None
) -> None:
    pod = start_patched(guard.namespace, pod_of(IN_MID_MESSAGE))
    pod.line("begin")
    warnings = evict(pod, seconds)
    assert ("kubectl delete pod" in warnings) is (seconds is not None)
    assert MESSAGE <= pod.until_gone() < MESSAGE + 20
    assert pod.count("end") == 1
    assert pod.exit_code() == 0


def test_the_eviction_of_an_unprotected_pod_is_not_changed(guard: Guard) -> None:
    pod = start_bare(guard.namespace, pod_of(IN_MID_MESSAGE))
    pod.line("begin")
    assert evict(pod, 1) == ""
    assert pod.until_gone() < MESSAGE
    assert pod.count("end") == 0


def test_a_pod_whose_annotation_allows_shorter_evictions_is_killed_in_mid_message(guard: Guard) -> None:
    manifest = pod_of(IN_MID_MESSAGE)
    manifest["metadata"]["annotations"]["graceful-worker/evict"] = "as-asked"
    pod = start_patched(guard.namespace, manifest)
    pod.line("begin")
    assert evict(pod, 1) == ""
    assert pod.until_gone() < MESSAGE
    assert pod.count("end") == 0


def test_while_the_webhook_is_down_evictions_still_succeed(guard: Guard) -> None:
    """Has to be the last test of this module: it ends the webhook."""
    pod = start_patched(guard.namespace, pod_of(IN_MID_MESSAGE))
    pod.line("begin")
    guard.process.terminate()
    guard.process.wait(30)
    evict(pod, 1)
    assert pod.until_gone() < MESSAGE
