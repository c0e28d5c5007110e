"""`graceful-worker repair` with real controllers: the new pods of restarted workloads are protected, or it stops."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from lightkube import Client

from demo.client import Webhook
from tests.cluster.settings import read_harm_refusal, read_settings
from tests.cluster.test_harm import WORKER
from tests.cluster.test_scenarios import NAME, configured
from tests.cluster.watched_pods import WatchedNamespace, watched_namespace
from tests.cluster.workloads import Workload, kubectl, objects, repair
from tests.node.specification import Json
from tests.proof.matrix import running_webhook
from webhook import __version__
from webhook.core.annotations import INJECTED_LABEL, STATUS_ANNOTATION

REFUSAL = read_harm_refusal() or (
    "no pod comes through unprotected: the webhook is installed" if read_settings().webhook_is_installed else ""
)
pytestmark = [pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL), pytest.mark.timeout(400)]

OLDER = "0.0.9"
WELL_BEHAVED = [WORKER, "after=2"]
UNREACHABLE = "https://127.0.0.1:1/mutate"


@dataclass
class Site:
    """A running webhook that is not configured yet, and a namespace whose pods will be sent to it."""

    webhook: Webhook
    client: Client
    namespace: WatchedNamespace
    labels: dict[str, str]

    def bare(self, name: str) -> Workload:
        """Create a labelled worker while the webhook's configuration does not exist."""
        workload = Workload(self.namespace, name, WELL_BEHAVED)
        workload.first_pod()
        assert version_of(workload) == ""
        return workload

    def older(self, name: str) -> Workload:
        """Create a worker whose annotation says that an older version has protected it."""
        workload = self.protected(name)
        (pod,) = workload.pods()
        record = pod["metadata"]["annotations"][STATUS_ANNOTATION].replace(__version__, OLDER)
        workload.kubectl("annotate", "--overwrite", "pod", pod["metadata"]["name"], f"{STATUS_ANNOTATION}={record}")
        return workload

    def protected(self, name: str) -> Workload:
        workload = Workload(self.namespace, name, WELL_BEHAVED)
        workload.first_pod()
        assert version_of(workload) == __version__
        return workload

    def repair(self, *arguments: str) -> tuple[int, str]:
        return repair("-n", self.namespace.name, "--configuration", NAME, "--every", "1s", *arguments)


@pytest.fixture
def site() -> Iterator[Site]:
    labels = {NAME: f"{time.time_ns():x}"}
    client = Client()
    with running_webhook(os.environ["KUBECONFIG"]) as webhook, watched_namespace(labels) as namespace:
        yield Site(webhook, client, namespace, labels)
    client.close()


def version_of(workload: Workload) -> str:
    """Return the version that has protected the pod of a workload; empty if it is not protected."""
    (pod,) = workload.pods()
    metadata = pod["metadata"]
    if metadata["labels"].get(INJECTED_LABEL) != "true":
        return ""
    return str(json.loads(metadata["annotations"][STATUS_ANNOTATION])["version"])


def uids(*workloads: Workload) -> list[str]:
    return [pod["metadata"]["uid"] for workload in workloads for pod in workload.pods()]


def restarted_at(workload: Workload) -> str:
    deployment: Json = objects("-n", workload.namespace.name, "deployment", workload.name)
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    return str(annotations.get("kubectl.kubernetes.io/restartedAt", ""))


def test_owners_of_bare_and_older_pods_are_listed_and_then_restarted_one_by_one(site: Site) -> None:
    bare = site.bare("bare")
    with configured(site.client, site.webhook.url, site.webhook.ca.read_bytes(), site.labels):
        older, well = site.older("older"), site.protected("well")
        before = uids(bare, older, well)

        code, output = site.repair("-o", "json")
        plan = json.loads(output)
        assert (code, plan["wait"], plan["byHand"]) == (1, None, [])
        assert [(each["name"], each["versions"]) for each in plan["restart"]] == [("bare", []), ("older", [OLDER])]
        assert uids(bare, older, well) == before

        code, output = site.repair("--yes")
        assert code == 0, output
        assert output.endswith("2 of 2 owners repaired.\n")
        assert [version_of(each) for each in (bare, older, well)] == [__version__] * 3
        (created,) = (pod["metadata"]["creationTimestamp"] for pod in bare.pods())
        assert created <= restarted_at(older)
        assert uids(well) == before[2:]

        code, output = site.repair("--yes")
        assert code == 0, output
        assert "Nothing to repair." in output


def test_the_first_new_pod_that_is_unprotected_stops_the_repair(site: Site) -> None:
    first, second = site.bare("first"), site.bare("second")
    with configured(site.client, site.webhook.url, site.webhook.ca.read_bytes(), site.labels):
        entries = objects("mutatingwebhookconfiguration", NAME)["webhooks"]
        patch = [
            {"op": "replace", "path": f"/webhooks/{index}/{field}", "value": value}
            for index, _ in enumerate(entries)
            for field, value in (("failurePolicy", "Ignore"), ("clientConfig", {"url": UNREACHABLE}))
        ]
        kubectl("patch", "mutatingwebhookconfiguration", NAME, "--type=json", "-p", json.dumps(patch))
        # API servers see a changed configuration a moment later.
        time.sleep(3)
        code, output = site.repair("--yes")
    assert code == 1
    assert f"STOP     Deployment first in {site.namespace.name}" in output
    assert " is unprotected: " in output
    assert (bool(restarted_at(first)), bool(restarted_at(second))) == (True, False)
