"""Tests that do not fit into the cases: invalid responses, kubeconfigs, selectors, output for scripts."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from certs.api_server import Limits
from tests.drains.pods import pod
from tests.inspection.cases import CONFIGURATION, Case, inspect_cluster
from tests.watch.served import Served
from webhook.cli.commands import main
from webhook.cli.status_report import as_json
from webhook.core.annotations import STATUS_ANNOTATION
from webhook.core.ownership import owner_of
from webhook.drains.reflector import PodDeleted, PodsListed
from webhook.history.records import History
from webhook.inspection.cluster import take_snapshot
from webhook.inspection.drain_limit_parsing import parse_duration
from webhook.inspection.snapshot import HistoryUnavailable, Names, Snapshot, is_guard
from webhook.inspection.worker_pods import read_injected_pod
from webhook.kubernetes.api_client import ApiClient, NotPermitted
from webhook.kubernetes.errors import ClusterUnavailable, PatchRejected
from webhook.kubernetes.kubeconfig import connect, read_kubeconfig
from webhook.kubernetes.requests import ApiRequest
from webhook.kubernetes.selectors import default_entries, matches, to_query
from webhook.repair.replacement_pods import read_replacement_pod

CONFIG = {
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "prod",
}


def write(file: Path, config: dict[str, Any]) -> str:
    file.write_text(json.dumps(config))
    return str(file)


def snapshot_of(respond: Callable[[httpx2.Request], httpx2.Response]) -> Snapshot:
    async def observed() -> Snapshot:
        transport = httpx2.MockTransport(respond)
        async with httpx2.AsyncClient(transport=transport, base_url="https://cluster.test") as client:
            return await take_snapshot(client, Names())

    return asyncio.run(observed())


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (httpx2.Response(401, json={"message": "Unauthorized"}), "rejects the credentials"),
        (httpx2.Response(200, text="<html>Please log in</html>"), "not a Kubernetes API server"),
        (httpx2.Response(500, json={"message": "etcd is gone"}), "500: etcd is gone"),
    ],
)
def test_an_invalid_response_makes_the_cluster_unavailable(response: httpx2.Response, message: str) -> None:
    with pytest.raises(ClusterUnavailable, match=message):
        snapshot_of(lambda request: response)


def test_a_list_whose_continue_token_has_expired_goes_on_with_the_new_token() -> None:
    case = Case("many").api_server
    case_transport = case.client()._transport
    assert isinstance(case_transport, httpx2.MockTransport)
    tokens: list[str] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        token = request.url.params.get("continue", "")
        if token and token not in tokens:
            tokens.append(token)
            return httpx2.Response(410, json={"code": 410, "metadata": {"continue": token}})
        return case_transport.handler(request)  # type: ignore[return-value]

    snapshot_of(respond)
    assert tokens


def test_a_page_over_the_limit_is_requested_again_with_fewer_objects() -> None:
    limits: list[int] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        limits.append(int(request.url.params["limit"]))
        return httpx2.Response(200, json={"items": [{"padding": "x" * 100}] * limits[-1]})

    async def listed(response_bytes: int) -> list[Any]:
        transport = httpx2.MockTransport(respond)
        async with httpx2.AsyncClient(transport=transport, base_url="https://cluster.test") as client:
            return await ApiClient(client, Limits(response_bytes=response_bytes, compression=True)).list(
                ApiRequest("pods"), dict
            )

    assert len(asyncio.run(listed(20_000))) == 125
    assert limits == [500, 250, 125]
    with pytest.raises(ClusterUnavailable, match="sent more than"):
        asyncio.run(listed(10))


def test_a_response_that_takes_too_long_makes_the_cluster_unavailable() -> None:
    async def respond(request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async def listed() -> list[Any]:
        async with httpx2.AsyncClient(
            transport=httpx2.MockTransport(respond), base_url="https://cluster.test"
        ) as client:
            return await ApiClient(client, Limits(seconds=0.05)).list(ApiRequest("pods"), dict)

    with pytest.raises(ClusterUnavailable, match=r"did not respond within 0\.05 s"):
        asyncio.run(listed())


def test_a_kind_that_is_not_installed_has_no_objects() -> None:
    async def listed() -> list[Any]:
        # For an unknown path, the API server itself responds without JSON.
        transport = httpx2.MockTransport(lambda request: httpx2.Response(404, text="404 page not found\n"))
        async with httpx2.AsyncClient(transport=transport, base_url="https://cluster.test") as client:
            return await ApiClient(client).list(ApiRequest("nodepools", "karpenter.sh"), dict)

    assert asyncio.run(listed()) == []


def test_if_a_kind_cannot_be_listed_only_the_limits_of_that_kind_are_unknown() -> None:
    case_transport = Case("drain-cluster-autoscaler").api_server.client()._transport
    assert isinstance(case_transport, httpx2.MockTransport)

    def respond(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/nodepools"):
            return httpx2.Response(500, json={"message": "conversion webhook for karpenter.sh/v1 failed"})
        return case_transport.handler(request)  # type: ignore[return-value]

    limits = snapshot_of(respond).limits
    assert limits
    assert [each.limit for each in limits.effective_limits] == ["cluster-autoscaler"]
    assert [(each.limit, each.place) for each in limits.unreadable] == [
        ("karpenter", "the API server responded with 500: conversion webhook for karpenter.sh/v1 failed")
    ]


@pytest.mark.parametrize(
    ("response", "error", "message"),
    [
        (httpx2.Response(403, json={"message": "you may not"}), PatchRejected, "you may not"),
        (httpx2.Response(404, text="404 page not found"), PatchRejected, "status 404"),
        (httpx2.Response(422, json={"message": "is invalid"}), PatchRejected, "is invalid"),
        (httpx2.Response(401, json={"message": "Unauthorized"}), ClusterUnavailable, "rejects the credentials"),
        (httpx2.Response(503, json={"message": "etcd is gone"}), ClusterUnavailable, "503: etcd is gone"),
    ],
)
def test_the_error_of_a_patch_that_is_not_accepted_has_the_reason(
    response: httpx2.Response, error: type[Exception], message: str
) -> None:
    async def changed() -> None:
        transport = httpx2.MockTransport(lambda request: response)
        async with httpx2.AsyncClient(transport=transport, base_url="https://cluster.test") as client:
            await ApiClient(client).patch(ApiRequest("deployments", "apps", "workers", "emails"), {}, "tests")

    with pytest.raises(error, match=message):
        asyncio.run(changed())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30s", 30),
        ("1h0m0s", 3600),
        ("1.5h", 5400),
        ("90m", 5400),
        ("1500ms", 1),
        ("0", 0),
        ("1h 30m", None),
        (30, None),
    ],
)
def test_durations_are_parsed_in_the_format_of_go(value: object, seconds: int | None) -> None:
    assert parse_duration(value) == seconds


def test_an_unreachable_cluster_gives_exit_code_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["status"], env={"KUBECONFIG": write(tmp_path / "config", CONFIG)})
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot be reached" in result.stderr


@pytest.mark.parametrize(
    ("config", "arguments", "message"),
    [
        (CONFIG, ["--context", "other"], "'other' not found"),
        ({**CONFIG, "current-context": None}, [], "no current context"),
        ({**CONFIG, "clusters": []}, [], "lacks 'c'"),
        ({}, [], "lacks"),
        (
            {**CONFIG, "users": [{"name": "u", "user": {"client-certificate": "gone", "client-key": "gone"}}]},
            [],
            "used",
        ),
        ({**CONFIG, "users": [{"name": "u", "user": {"auth-provider": {}}}]}, [], "reached"),
    ],
)
def test_an_unusable_kubeconfig_gives_exit_code_2(
    tmp_path: Path, config: dict[str, Any], arguments: list[str], message: str
) -> None:
    result = CliRunner().invoke(main, ["status", *arguments], env={"KUBECONFIG": write(tmp_path / "config", config)})
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_missing_kubeconfig_gives_exit_code_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["status"], env={"KUBECONFIG": str(tmp_path / "none")})
    assert result.exit_code == 2
    assert "does not exist" in result.stderr


def test_of_several_kubeconfigs_the_first_one_takes_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    cluster = {"name": "d", "cluster": {"server": "https://d.test", "certificate-authority": "ca.crt"}}
    other = {
        "clusters": [cluster, {"name": "c", "cluster": {"server": "https://not.this"}}],
        "contexts": [{"name": "staging", "context": {"cluster": "d", "user": "u"}}],
        "current-context": "staging",
    }
    files = [write(tmp_path / "config", CONFIG), write(tmp_path / "other" / "config", other), str(tmp_path / "none")]
    monkeypatch.setenv("KUBECONFIG", ":".join(files))
    assert read_kubeconfig(None).cluster.server == "https://127.0.0.1:1"
    staging = read_kubeconfig("staging")
    assert staging.cluster.server == "https://d.test"
    assert staging.abs_file("ca.crt") == tmp_path / "other" / "ca.crt"
    assert staging.user
    assert staging.user.token == "t"


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_credential_plugins_of_both_versions_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text('#!/bin/sh\necho "{\\"status\\": {\\"token\\": \\"of-$1${KUBERNETES_EXEC_INFO:+-v1}\\"}}"\n')
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    user = {"exec": {"apiVersion": f"client.authentication.k8s.io/{version}", "command": str(plugin), "args": ["me"]}}
    monkeypatch.setenv("KUBECONFIG", write(tmp_path / "config", {**CONFIG, "users": [{"name": "u", "user": user}]}))
    monkeypatch.delenv("KUBERNETES_EXEC_INFO", raising=False)

    async def authorization() -> str:
        async with connect(read_kubeconfig(None)) as client:
            assert client.auth
            flow = client.auth.async_auth_flow(httpx2.Request("GET", "https://cluster.test"))
            header = (await anext(flow)).headers["Authorization"]
            await flow.aclose()
            return str(header)

    assert asyncio.run(authorization()) == ("Bearer of-me-v1" if version == "v1" else "Bearer of-me")


def test_the_default_selectors_for_an_unknown_configuration_are_those_of_deploy() -> None:
    entries = [entry for entry in YAML(typ="safe").load(CONFIGURATION)["webhooks"] if not is_guard(entry)]
    fields = ("namespaceSelector", "objectSelector")
    assert default_entries("graceful-worker") == [{field: entry[field] for field in fields} for entry in entries]


@pytest.mark.parametrize(
    ("selector", "labels", "query", "matched"),
    [
        (None, {}, "", True),
        ({"matchLabels": {"a": "1"}}, {"a": "1"}, "a in (1)", True),
        ({"matchLabels": {"a": "1"}}, {}, "a in (1)", False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1", "2"]}]}, {}, "a notin (1,2)", True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, "a", True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, "!a", False),
    ],
)
def test_a_selector_matches_as_in_the_api_server(
    selector: dict[str, Any] | None, labels: dict[str, str], query: str, matched: bool
) -> None:
    assert (to_query(selector), matches(selector, labels)) == (query, matched)


@pytest.mark.parametrize(
    ("kind", "name", "labels", "owner"),
    [
        ("ReplicaSet", "shop-5d9", {"pod-template-hash": "5d9"}, "Deployment shop"),
        ("ReplicaSet", "shop-5d9", {"rollouts-pod-template-hash": "5d9"}, "Rollout shop"),
        ("ReplicaSet", "shop-5d9", {}, "ReplicaSet shop-5d9"),
        ("StatefulSet", "shop", {}, "StatefulSet shop"),
    ],
)
def test_the_owner_of_a_pod_is_the_workload_that_users_know(
    kind: str, name: str, labels: dict[str, str], owner: str
) -> None:
    owners = [{"kind": "Other", "name": "x"}, {"kind": kind, "name": name, "controller": True}]
    assert str(owner_of({"name": "p", "labels": labels, "ownerReferences": owners})) == owner


@pytest.mark.parametrize("responds", [True, False])
def test_a_watch_can_be_queried_at_a_given_address(responds: bool) -> None:
    watch = Served()
    watch.see(PodsListed([]), PodDeleted(pod("a", deleted=0, ends={"worker": {"at": 42}})))

    async def observed(address: str) -> Snapshot:
        async with Case("history-no-right").api_server.client() as client:
            return await take_snapshot(client, Names(), watch_url=address)

    try:
        history = asyncio.run(observed(watch.address if responds else f"{watch.address}/nowhere")).history
    finally:
        watch.close()
    if responds:
        assert isinstance(history, History)
        assert [each.longest for each in history.records] == [42]
    else:
        assert history == HistoryUnavailable(f"the watch {watch.address}/nowhere responds with status 404")


def test_if_the_watch_cannot_be_found_only_the_history_is_unavailable() -> None:
    case_transport = Case("history").api_server.client()._transport
    assert isinstance(case_transport, httpx2.MockTransport)

    def respond(request: httpx2.Request) -> httpx2.Response:
        if request.url.params.get("labelSelector") == "app.kubernetes.io/name=graceful-worker-watch":
            return httpx2.Response(500, json={"message": "etcd is gone"})
        return case_transport.handler(request)  # type: ignore[return-value]

    seen = snapshot_of(respond)
    assert seen.history == HistoryUnavailable("the API server responded with 500: etcd is gone")
    assert seen.limits


def test_the_json_output_has_codes_counts_and_pods() -> None:
    seen, diagnostics, verdict = inspect_cluster(Case("unprotected").api_server)
    report = json.loads(as_json(seen, diagnostics, verdict, with_pods=True))
    assert (report["verdict"], report["exitCode"]) == ("flawed", 1)
    assert report["podsByState"] == {"protected": 2, "unprotected": 6}
    assert len(report["pods"]) == 8
    codes = [finding["code"] for finding in report["findings"]]
    assert codes.count("unprotected") == 4
    assert [finding["values"]["pods"] for finding in report["findings"] if finding["code"] == "unprotected"][2] == [
        "orders-7cb59-a",
        "orders-7cb59-b",
    ]


def test_the_json_output_distinguishes_no_pods_from_pods_that_cannot_be_listed() -> None:
    seen, diagnostics, verdict = inspect_cluster(Case("no-right-to-pods").api_server)
    assert isinstance(seen.pods, NotPermitted)
    assert json.loads(as_json(seen, diagnostics, verdict, with_pods=True))["podsByState"] is None


def test_values_from_annotations_of_a_pod_are_not_printed() -> None:
    seen, diagnostics, verdict = inspect_cluster(Case("refused").api_server)
    assert "one hour" not in as_json(seen, diagnostics, verdict, with_pods=True)


def test_other_commands_do_not_import_libraries_that_only_status_needs() -> None:
    code = (
        "import sys, webhook.cli.commands; print(*{'lightkube', 'httpx2', 'asyncio', 'cryptography'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize(
    "version", ["9" * 5000, "1." + "9" * 5000 + ".0", "", "1.2", "1.2.3 ", "1.2.3" + "x" * 50, "١.٢.٣"]
)
def test_a_version_that_no_release_has_counts_as_absent(version: str) -> None:
    record = json.dumps({"version": version})
    raw = {
        "metadata": {
            "namespace": "shop",
            "name": "odd",
            "uid": "u",
            "labels": {"graceful-worker/injected": "true"},
            "annotations": {STATUS_ANNOTATION: record},
        },
        "spec": {},
    }
    assert read_injected_pod(raw).version == ""
    assert read_replacement_pod(raw)[1].version == ""
    assert not read_replacement_pod(raw)[1].is_protected("0.1.0")
