"""The proof's scenarios in a real cluster: protected Deployments lose and repeat no message."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from lightkube import Client
from lightkube.codecs import from_dict
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.admissionregistration_v1 import MutatingWebhookConfiguration
from lightkube.resources.core_v1 import Namespace
from ruamel.yaml import YAML

from tests.builders import pod
from tests.cluster.cell import ClusterCell
from tests.cluster.settings import read_settings
from tests.proof.ledger import balance
from tests.proof.matrix import running_webhook
from tests.proof.scenarios import scenario
from tests.proof.workers import FOLDER, load_worker

SETTINGS = read_settings()
CONFIGURATION = FOLDER.parent.parent.parent / "deploy" / "base" / "webhook-configuration.yaml"
NAME = "graceful-worker-e2e"

pytestmark = pytest.mark.skipif(bool(SETTINGS.refusal), reason=SETTINGS.refusal)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    client = Client()
    yield client
    client.close()


@pytest.fixture(scope="module")
def labels(client: Client) -> Iterator[dict[str, str]]:
    """Run the webhook; return the labels of the namespaces whose pods are sent to it."""
    if SETTINGS.webhook_is_installed:
        yield {}
        return
    chosen = {NAME: f"{time.time_ns():x}"}
    with ExitStack() as stack:
        webhook = stack.enter_context(running_webhook(os.environ["KUBECONFIG"]))
        stack.enter_context(configured(client, webhook.url, webhook.ca.read_bytes(), chosen))
        yield chosen


@contextmanager
def configured(client: Client, url: str, ca: bytes, labels: dict[str, str]) -> Iterator[None]:
    """Install the shipped configuration for the chosen namespaces only."""
    configuration: dict[str, Any] = json.loads(json.dumps(YAML(typ="safe").load(CONFIGURATION)))
    configuration["metadata"]["name"] = NAME
    for entry in configuration["webhooks"]:
        entry["clientConfig"] = {"url": f"{url}/mutate", "caBundle": base64.b64encode(ca).decode()}
        entry["namespaceSelector"]["matchLabels"] = labels
    client.create(from_dict(configuration))
    probe = f"{NAME}-{time.time_ns():x}"
    try:
        client.create(Namespace(metadata=ObjectMeta(name=probe, labels=labels)))
        wait_until_called(client, probe)
        yield
    finally:
        client.delete(MutatingWebhookConfiguration, NAME)
        client.delete(Namespace, probe)


def wait_until_called(client: Client, namespace: str) -> None:
    """Wait until the API server calls the webhook: a configuration takes effect only within a second or so."""
    probe = from_dict(pod("probe", labels={"graceful-worker": "enabled"}, metadata={"namespace": namespace}))
    for _ in range(100):
        seen = client.create(probe, dry_run=True)
        if "graceful-worker/status" in (seen.metadata.annotations or {}):  # type: ignore[union-attr]
            return
        time.sleep(0.1)
    raise AssertionError("the API server does not call the webhook")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SETTINGS.scenarios)
@pytest.mark.parametrize("worker", SETTINGS.workers)
def test_a_protected_pod_loses_and_repeats_no_message(
    client: Client, labels: dict[str, str], worker: str, name: str
) -> None:
    images = (SETTINGS.broker, SETTINGS.workers[worker])
    cell = ClusterCell(client, load_worker(worker), images, labels, protected=True)
    try:
        scenario(name).run(cell)
        assert [pod.name for pod in cell.pods() if pod.is_deleted and not pod.is_gone] == []
        result = balance(cell.ledger.lines(), cell.sent, cell.victims)
        assert (result.lost, result.repeated, result.missing) == ([], [], [])
    finally:
        cell.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("worker", SETTINGS.workers)
def test_the_same_pod_loses_messages_if_it_is_not_patched(client: Client, worker: str) -> None:
    images = (SETTINGS.broker, SETTINGS.workers[worker])
    cell = ClusterCell(client, load_worker(worker), images, {}, protected=False)
    try:
        scenario("deletion").run(cell)
        assert balance(cell.ledger.lines(), cell.sent, cell.victims).lost != []
    finally:
        cell.close()
