"""The eviction guard over HTTPS, with a simulated API server: each case is a file."""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
import trustme
from ruamel.yaml import YAML

from webhook.core.eviction import OVERDUE_SECONDS, DeleteOptions, Eviction, decide_eviction, read_evicted_pod
from webhook.core.reasons import Kind, Reason
from webhook.core.warnings import WARNING_LENGTH

from .process import Server, Servers
from .test_authentication import trust
from .wire import post

FOLDER = Path(__file__).with_name("evictions")
NAMESPACE = "shop"
NODE = "node-of-"
TIMEOUT = 30
"""The API server's timeout for the webhook, in seconds: the highest that it allows, for a busy machine."""
SHORT_TIMEOUT = 1
EVICTOR = "system:serviceaccount:kube-system:cluster-autoscaler"
Json = dict[str, Any]
OF_PODS = {Reason.EVICTION_CUT, Reason.EVICTION_FORBIDDEN}
"""Reasons about evictions in the review of a pod's creation, not in that of an eviction."""


@dataclass(frozen=True)
class Case:
    """An eviction, the pod that it names, and the result.

    `options` are the deleteOptions of the eviction. `kept` is its grace period after the patch, if that is neither the
    one before nor the pod's. `pod` is a merge patch for the protected pod. `node` is the status of the condition Ready
    of the pod's node; if it is empty, the node does not exist. `answer` is the response of the API server, if it is not
    the pod: `status` and `body`. `asked`: whether the webhook requests the pod from the API server. `hangs`: the API
    server does not respond until the test releases it.
    """

    title: str
    reason: str
    options: Json | None
    version: str = "v1"
    name: str = ""
    pod: Json = field(default_factory=dict)
    answer: Json = field(default_factory=dict)
    dry_run: bool = False
    asked: bool = True
    hangs: bool = False
    kept: int | None = None
    node: str = "True"


def load(path: Path) -> Case:
    data = YAML(typ="safe").load(path)
    return Case(**{"name": path.stem, **data})


CASES = {path.stem: load(path) for path in sorted(FOLDER.glob("*.yaml"))}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
HEALED = CASES["protected-0"]


def merged(base: Json, change: Json) -> Json:
    """Apply a JSON merge patch: null removes a field."""
    result = dict(base)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key, {}), value) if isinstance(value, dict) else value
    return result


def pod_of(case: Case) -> Json:
    metadata = {"name": case.name, "namespace": NAMESPACE, "labels": {"graceful-worker/injected": "true"}}
    protected = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": {"terminationGracePeriodSeconds": 3600, "nodeName": f"{NODE}{case.name}"},
    }
    return merged(protected, case.pod)


def node_of(case: Case) -> Json:
    condition = {"type": "Ready", "status": case.node}
    return {"kind": "Node", "apiVersion": "v1", "metadata": {}, "status": {"conditions": [condition]}}


def eviction_of(case: Case) -> Json:
    metadata = {"name": case.name, "namespace": NAMESPACE}
    eviction = {"kind": "Eviction", "apiVersion": f"policy/{case.version}", "metadata": metadata}
    return eviction | ({} if case.options is None else {"deleteOptions": case.options})


def review_of(case: Case, user: str = EVICTOR) -> Json:
    """Return the review as an API server sends it."""
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "policy", "version": case.version, "kind": "Eviction"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "subResource": "eviction",
        "name": case.name,
        "namespace": NAMESPACE,
        "operation": "CREATE",
        "userInfo": {"username": user, "groups": ["system:authenticated"]},
        "object": eviction_of(case),
        "dryRun": case.dry_run,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}


class ApiServer(ThreadingHTTPServer):
    """A simulated API server: it has the pods and nodes of the cases, and records which paths were requested."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requested: list[str] = []
        self.released = threading.Event()
        self.pods = {f"/api/v1/namespaces/{NAMESPACE}/pods/{case.name}": case for case in CASES.values()}
        self.nodes = {f"/api/v1/nodes/{NODE}{case.name}": case for case in CASES.values() if case.node}

    def kubeconfig(self, path: Path) -> Path:
        cluster = {"server": f"http://127.0.0.1:{self.server_address[1]}"}
        context = {"cluster": "test", "user": "test"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": context}],
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": "token"}}],
        }
        path.write_text(json.dumps(config))
        return path


class _Handler(BaseHTTPRequestHandler):
    server: ApiServer

    def do_GET(self) -> None:
        self.server.requested.append(self.path)
        if self.path.startswith("/api/v1/nodes/"):
            node = self.server.nodes.get(self.path)
            missing = {"kind": "Status", "message": "not found"}
            self._respond(200 if node else 404, node_of(node) if node else missing)
            return
        case = self.server.pods[self.path]
        if case.hangs:
            self.server.released.wait(TIMEOUT)
            return
        self._respond(case.answer.get("status", 200), case.answer.get("body", pod_of(case)))

    def _respond(self, status: int, body: Any) -> None:
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def api_server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def guard(shared_servers: Servers, api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A webhook that takes every client for the API server, as configured."""
    kubeconfig = api_server.kubeconfig(tmp_path_factory.mktemp("guard") / "kubeconfig")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(kubeconfig))
        yield shared_servers.start(eviction_guard=True)


def review_eviction(server: Server, case: Case, **review: Any) -> Json:
    body = json.dumps(review_of(case, **review)).encode()
    timeout = SHORT_TIMEOUT if case.hangs else TIMEOUT
    response: Json = server.exchange(post(body, path=f"/mutate?timeout={timeout}s")).admission_response
    return response


def patched_eviction(case: Case, response: Json) -> Json:
    """Return the eviction with the patch applied: what the API server carries out."""
    patch = json.loads(base64.b64decode(response["patch"])) if "patch" in response else []
    eviction: Json = jsonpatch.apply_patch(deepcopy(eviction_of(case)), patch)
    return eviction


@every_case
def test_an_eviction_is_allowed_and_a_protected_pod_keeps_its_grace_period(
    guard: Server, api_server: ApiServer, case: Case
) -> None:
    api_server.requested.clear()
    response = review_eviction(guard, case)
    assert response["allowed"] is True
    assert response["auditAnnotations"]["reason"] == case.reason
    assert bool(api_server.requested) is case.asked
    wanted = eviction_of(case)
    if case.reason == Reason.EVICTION_HEALED.value:
        assert case.options is not None
        wanted["deleteOptions"] = {key: v for key, v in case.options.items() if key != "gracePeriodSeconds"}
        wanted["deleteOptions"] |= {"gracePeriodSeconds": case.kept} if case.kept else {}
    else:
        assert "warnings" not in response
    assert patched_eviction(case, response) == wanted


def test_the_warnings_state_the_kept_grace_period_and_how_to_delete_the_pod_anyway(guard: Server) -> None:
    kept, instead = review_eviction(guard, HEALED)["warnings"]
    assert f"{HEALED.name} keeps 3600 s, not 0 s" in kept
    assert "kubectl delete pod" in instead
    assert max(map(len, (kept, instead))) <= WARNING_LENGTH


def test_metrics_count_evictions_by_kind_of_user_and_the_log_names_the_user(guard: Server) -> None:
    made_up = [f"made-up-{number}@example.com" for number in range(5)]
    for user in (EVICTOR, "system:node:a", "system:kube-controller-manager", *made_up):
        review_eviction(guard, HEALED, user=user)
    metrics = guard.get("/metrics").body.decode()
    counted = {
        line.split(" ")[0] for line in metrics.splitlines() if line.startswith("graceful_worker_evictions_total")
    }
    kinds = ("service-account", "node", "component", "user")
    assert {
        f'graceful_worker_evictions_total{{by="{by}",dry_run="false",reason="eviction-healed"}}' for by in kinds
    } <= counted
    assert "made-up" not in metrics
    for user in (EVICTOR, *made_up):
        line = guard.lines(by=user, pod=HEALED.name)[0]
        assert (line["message"], line["namespace"], line["reason"]) == ("eviction", NAMESPACE, HEALED.reason)


def test_a_dry_run_in_the_delete_options_is_logged_as_a_dry_run(guard: Server) -> None:
    case = CASES["dry-run-of-the-deletion"]
    assert not case.dry_run
    review_eviction(guard, case)
    assert {line["dryRun"] for line in guard.lines(pod=case.name)} == {True}


def test_repeated_failures_to_read_a_pod_are_one_line_in_the_log(guard: Server) -> None:
    for _ in range(5):
        review_eviction(guard, CASES["forbidden"])
    # The log line of this eviction comes last: when it is there, all others have been written.
    review_eviction(guard, HEALED, user="the-last-one")
    guard.lines(by="the-last-one")
    assert len(guard.lines(message="its pod cannot be read")) == 1


def test_hundreds_of_concurrent_evictions_are_all_healed(guard: Server) -> None:
    with ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(lambda _: review_eviction(guard, HEALED), range(500)))
    assert Counter(response["auditAnnotations"]["reason"] for response in responses) == {"eviction-healed": 500}


def test_an_api_server_that_does_not_respond_does_not_delay_other_reviews(guard: Server, api_server: ApiServer) -> None:
    with_long_timeout = replace(CASES["slow"], hangs=False)
    with ThreadPoolExecutor(1) as pool:
        delayed = pool.submit(review_eviction, guard, with_long_timeout)
        for _ in range(5):
            assert review_eviction(guard, HEALED)["auditAnnotations"]["reason"] == "eviction-healed"
        assert not delayed.done()
        api_server.released.set()


def test_the_guard_reads_a_pod_only_for_clients_with_an_api_server_certificate(
    servers: Servers, api_server: ApiServer, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "clients.crt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(api_server.kubeconfig(tmp_path / "kubeconfig")))
        server = servers.start(client_ca=str(tmp_path / "clients.crt"))
    api_server.requested.clear()
    assert review_eviction(server, HEALED)["auditAnnotations"]["reason"] == "eviction-closed"
    assert api_server.requested == []
    server.trust = trust(server, authority)
    assert review_eviction(server, HEALED)["auditAnnotations"]["reason"] == "eviction-healed"


def test_without_a_client_ca_the_guard_is_off_and_the_log_says_so(
    servers: Servers, api_server: ApiServer, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(api_server.kubeconfig(tmp_path / "kubeconfig")))
        server = servers.start()
    api_server.requested.clear()
    assert review_eviction(server, HEALED)["auditAnnotations"]["reason"] == "eviction-guard-off"
    assert api_server.requested == []
    assert server.lines(message="--client-ca")


@pytest.mark.parametrize("kubeconfig", ["", "{", "[]", "{kind: Config}"], ids=["none", "no-yaml", "a-list", "empty"])
def test_without_a_cluster_the_guard_is_off_and_the_log_says_so_once(
    servers: Servers, tmp_path: Path, kubeconfig: str
) -> None:
    file = tmp_path / "kubeconfig"
    if kubeconfig:
        file.write_text(kubeconfig)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(file))
        server = servers.start(eviction_guard=True)
    assert review_eviction(server, HEALED)["auditAnnotations"]["reason"] == "eviction-guard-off"
    assert review_eviction(server, HEALED)["allowed"] is True
    assert len(server.lines(message="eviction guard is off")) == 1


def test_every_reason_for_an_eviction_has_a_case_and_none_refuses() -> None:
    reasons = {reason for reason in Reason if reason.value.startswith("eviction-")} - OF_PODS
    assert {reason.kind for reason in reasons} == {Kind.PROTECTED, Kind.LEFT_ALONE}
    assert {reason.value for reason in reasons} - {case.reason for case in CASES.values()} == {
        # Tested above: these depend on the server's options, not on the eviction.
        "eviction-guard-off",
        "eviction-closed",
    }


@pytest.mark.parametrize(
    ("period", "second", "reason"),
    [
        (3600, -1, Reason.EVICTION_HEALED),
        (3600, OVERDUE_SECONDS - 1, Reason.EVICTION_HEALED),
        (3600, OVERDUE_SECONDS + 1, Reason.EVICTION_OVERDUE),
        # A kubelet that is ending a pod keeps the first period, whatever a second deletion asks for.
        (60, OVERDUE_SECONDS + 1, Reason.EVICTION_HEALED),
        (60, 3540 + OVERDUE_SECONDS + 1, Reason.EVICTION_OVERDUE),
        # The autoscaler's or an operator's own, longer period.
        (7200, -1, Reason.EVICTION_HEALED),
        (7200, OVERDUE_SECONDS + 1, Reason.EVICTION_OVERDUE),
        (2**63 - 1, 0, Reason.EVICTION_HEALED),
    ],
)
def test_a_drain_is_overdue_some_time_after_its_own_grace_period(period: int, second: int, reason: Reason) -> None:
    deletion = {"deletionTimestamp": "2026-08-01T03:00:00Z", "deletionGracePeriodSeconds": period}
    pod = read_evicted_pod(merged(pod_of(HEALED), {"metadata": deletion}))
    assert decide_eviction(Eviction(DeleteOptions(0)), pod, 86400, second).verdict.reason is reason
