"""Image pull secrets of pods: which are read from the cluster, and which are ignored."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest
from lightkube import AsyncClient, KubeConfig

from tests.images.lookups import FakeClock
from webhook.images.pull_secrets import ClusterPullSecrets
from webhook.images.reference import parse_reference

CONFIG = {
    "clusters": [{"name": "c", "cluster": {"server": "https://cluster.test"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}
JSON = "kubernetes.io/dockerconfigjson"
OLD = "kubernetes.io/dockercfg"


def secret(username: str, kind: str = JSON, data: dict[str, str] | None = None) -> dict[str, Any]:
    auths: dict[str, Any] = {"registry.example.com": {"username": username, "password": "p"}}
    key, document = (".dockerconfigjson", {"auths": auths}) if kind == JSON else (".dockercfg", auths)
    content = base64.b64encode(json.dumps(document).encode()).decode()
    return {"kind": "Secret", "apiVersion": "v1", "type": kind, "data": {key: content} if data is None else data}


def account(*names: str) -> dict[str, Any]:
    return {"kind": "ServiceAccount", "apiVersion": "v1", "imagePullSecrets": [{"name": name} for name in names]}


OBJECTS = {
    "shop/secrets/ann": secret("ann"),
    "shop/secrets/old": secret("old", OLD),
    "shop/secrets/opaque": secret("opaque", JSON) | {"type": "Opaque"},
    "shop/secrets/empty": secret("empty", data={}),
    "shop/secrets/no-base64": secret("x", data={".dockerconfigjson": "%%%"}),
    "shop/secrets/no-json": secret("x", data={".dockerconfigjson": base64.b64encode(b"nonsense").decode()}),
    "shop/secrets/no-data": {"kind": "Secret", "apiVersion": "v1", "type": JSON},
    "shop/serviceaccounts/default": account("of-default"),
    "shop/serviceaccounts/worker": account("of-worker", "ann"),
    "shop/serviceaccounts/plain": {"kind": "ServiceAccount", "apiVersion": "v1"},
    "shop/secrets/of-default": secret("of-default"),
    "shop/secrets/of-worker": secret("of-worker"),
    "other/secrets/hidden": secret("hidden"),
}


class Cluster:
    """An API server with these objects, which records the requests."""

    def __init__(self) -> None:
        self.requested: list[str] = []
        self.denied: dict[str, int] = {}
        self.responses: dict[str, httpx2.Response] = {}

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        name = request.url.path.removeprefix("/api/v1/namespaces/")
        self.requested.append(name)
        if name in self.responses:
            return self.responses[name]
        if name in self.denied:
            if not self.denied[name]:
                raise httpx2.ConnectError("refused")
            return httpx2.Response(self.denied[name], json={"kind": "Status", "code": self.denied[name]})
        found = OBJECTS.get(name)
        return httpx2.Response(200, json=found) if found else httpx2.Response(404, json={"kind": "Status", "code": 404})


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def secrets(cluster: Cluster, clock: FakeClock | None = None) -> ClusterPullSecrets:
    client = AsyncClient(KubeConfig.from_dict(CONFIG), transport=httpx2.MockTransport(cluster))
    return ClusterPullSecrets(client, clock or FakeClock())


def users(cluster: Cluster, names: Sequence[str] = (), service_account: str = "", namespace: str = "shop") -> list[str]:
    """Return the user names of a pod's credentials."""

    async def read() -> list[str]:
        pull_secrets = secrets(cluster)
        try:
            keyring = await pull_secrets.keyring(namespace, service_account, names)
            return [found.username for found in await keyring.find(parse_reference("registry.example.com/app"))]
        finally:
            await pull_secrets.aclose()

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("names", "service_account", "expected"),
    [
        (["ann"], "", ["ann"]),
        (["old", "ann"], "", ["old", "ann"]),
        ([], "", ["of-default"]),
        ([], "worker", ["of-worker", "ann"]),
        ([], "plain", []),
        ([], "missing", []),
        (["ann"], "worker", ["ann"]),
    ],
)
def test_a_pod_has_the_credentials_of_its_secrets_or_of_its_service_account(
    cluster: Cluster, names: list[str], service_account: str, expected: list[str]
) -> None:
    assert users(cluster, names, service_account) == expected


@pytest.mark.parametrize("name", ["missing", "opaque", "empty", "no-base64", "no-json", "no-data"])
def test_a_missing_or_malformed_secret_is_ignored(cluster: Cluster, name: str) -> None:
    assert users(cluster, [name, "ann"]) == ["ann"]


@pytest.mark.parametrize("status", [403, 500, 0])
def test_a_secret_that_cannot_be_read_is_ignored(cluster: Cluster, status: int) -> None:
    cluster.denied["shop/secrets/old"] = status
    assert users(cluster, ["old", "ann"]) == ["ann"]


@pytest.mark.parametrize(
    "odd",
    [
        httpx2.Response(503, content=b"busy"),
        httpx2.Response(503, content=b"{", headers={"Content-Type": "application/json"}),
        httpx2.Response(500, json=[]),
        httpx2.Response(200, content=b"<html>"),
        httpx2.Response(200, content=b'{"a":' * 100_000),
        httpx2.Response(200, json=[]),
        httpx2.Response(200, json={"data": {".dockerconfigjson": 7}, "type": 7}),
    ],
)
def test_an_unexpected_response_is_ignored(cluster: Cluster, odd: httpx2.Response) -> None:
    cluster.responses["shop/secrets/old"] = odd
    assert users(cluster, ["old", "ann"]) == ["ann"]


@pytest.mark.parametrize(
    "name", ["../../other/secrets/hidden", "..", ".", "a/b", "hidden?x=1", "a%2fb", "Upper", "", "x" * 254, "a\nb"]
)
def test_a_name_that_would_change_the_path_of_the_request_is_ignored(cluster: Cluster, name: str) -> None:
    assert users(cluster, [name]) == []
    assert users(cluster, [], namespace=name) == []
    assert users(cluster, [], service_account=name or "-") == []
    assert cluster.requested == []


def test_an_invalid_name_does_not_affect_the_others(cluster: Cluster) -> None:
    assert users(cluster, ["../x", "ann"]) == ["ann"]


def test_only_so_many_secrets_are_read_for_a_pod(cluster: Cluster) -> None:
    """Each is a request to the API server, and whoever creates a pod may name thousands."""
    users(cluster, [*(f"s{number}" for number in range(10_000)), "ann"])
    assert len(cluster.requested) == 32


def test_a_secret_that_is_named_twice_is_read_once(cluster: Cluster) -> None:
    assert users(cluster, ["ann"] * 1000) == ["ann"]
    assert cluster.requested == ["shop/secrets/ann"]


def test_without_a_namespace_nothing_is_read(cluster: Cluster) -> None:
    assert users(cluster, ["ann"], namespace="") == []
    assert cluster.requested == []


def test_a_secret_is_read_once_for_many_pods_and_again_after_a_while(cluster: Cluster) -> None:
    async def scenario() -> None:
        clock = FakeClock()
        pull_secrets = secrets(cluster, clock)
        await asyncio.gather(*(pull_secrets.keyring("shop", "", ["ann"]) for _ in range(200)))
        assert cluster.requested == ["shop/secrets/ann"]
        clock.seconds = 11
        await pull_secrets.keyring("shop", "", ["ann"])
        assert cluster.requested == ["shop/secrets/ann"] * 2
        await pull_secrets.aclose()

    asyncio.run(scenario())


def test_outside_a_cluster_there_are_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    monkeypatch.setenv("HOME", str(tmp_path))

    async def scenario() -> None:
        pull_secrets = ClusterPullSecrets()
        keyring = await pull_secrets.keyring("shop", "", ["ann"])
        assert await keyring.find(parse_reference("registry.example.com/app")) == []
        await pull_secrets.aclose()

    asyncio.run(scenario())
