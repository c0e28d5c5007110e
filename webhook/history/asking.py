"""Asks for how drains went: a watch by its address or through the API server, else the cluster itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection
from http import HTTPStatus
from typing import TypeVar

from httpx2 import URL, AsyncClient, HTTPError, InvalidURL, Response, Timeout
from lightkube.core.exceptions import ConfigError

from webhook.core.pod import JsonObject
from webhook.history.evidence import History
from webhook.history.remains import Remains, Told, gather, read_remains, read_told
from webhook.history.samples import NoMetrics, read_metrics
from webhook.kubernetes.api_client import ApiClient
from webhook.kubernetes.errors import ClusterUnavailable, Forbidden
from webhook.kubernetes.requests import INJECTED, ApiRequest
from webhook.watch.events import COMPONENT

SECONDS = 15.0
"""For all of an answer."""
MOST_BYTES = 16 * 1024 * 1024
"""Of an answer: a watch that counts as many owners as it can has 4 MiB."""
WATCH_LABEL = f"app.kubernetes.io/name={COMPONENT}"
PORT_NAME, PORT = "http", 8080
METRICS = "/metrics"
WATCH_RIGHTS = ("list pods", "get pods/proxy")
"""What reads the metrics of a watch through the API server, in the namespace of the installation."""
CLUSTER_RIGHTS = ("list pods", "list events")
"""What tells of drains without a watch, in the namespaces that are asked about."""
_HEADERS = {"Accept": "text/plain", "Accept-Encoding": "identity"}
_Answered = TypeVar("_Answered")


class Unknown(Exception):
    """There is no watch, or it cannot be asked; the message says why."""


async def ask_address(client: AsyncClient, address: str) -> History:
    """Ask a watch at its address.

    Raises:
        Unknown: there is none, or it does not answer.

    """
    try:
        url = URL(address)
    except InvalidURL as error:
        raise Unknown(f"{address} is not a URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise Unknown(f"{address} is not the URL of a watch; write for example http://127.0.0.1:8080{METRICS}")
    if url.path in ("", "/"):
        url = url.copy_with(path=METRICS)
    return await _read(client, str(url), str(url))


async def ask_through_api_server(client: AsyncClient, namespace: str) -> History:
    """Ask the watch that runs in a namespace, through the API server's proxy to its pod.

    https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls

    Raises:
        Unknown: none runs there, a right is missing, or it does not answer.
        ClusterUnavailable: the API server cannot be asked.

    """
    question = ApiRequest("pods", namespace=namespace, labels=WATCH_LABEL)
    try:
        pods = await ApiClient(client).list(question, dict)
    except Forbidden as forbidden:
        raise Unknown(f"permission missing to find the watch: {forbidden}") from None
    running = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Running"]
    if not running:
        state = "is not running" if pods else "is not installed"
        raise Unknown(f"the watch {state} in namespace {namespace} (kubectl apply -k deploy/overlays/drain-watch)")
    # During a rollout, the older one is terminating.
    pod = min(running, key=lambda each: "deletionTimestamp" in each["metadata"])
    name = pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{namespace}/pods/{name}:{_port(pod)}/proxy{METRICS}"
    return await _read(client, path, f"{namespace}/{name}", right=f"get pods/proxy in namespace {namespace}")


def _port(pod: JsonObject) -> int:
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or ()]
    return next((int(port["containerPort"]) for port in ports if port.get("name") == PORT_NAME), PORT)


async def _read(client: AsyncClient, url: str, place: str, right: str = "") -> History:
    try:
        async with asyncio.timeout(SECONDS), client.stream("GET", url, headers=_HEADERS, timeout=_PATIENCE) as response:
            if right and response.status_code == HTTPStatus.FORBIDDEN:
                raise Unknown(f"permission missing to read its metrics: {right}; or use --watch-url")
            if not response.is_success:
                raise Unknown(f"the watch {place} responds with status {response.status_code}")
            text = await _text(response, place)
        return read_metrics(text, place)
    except TimeoutError:
        raise Unknown(f"the watch {place} does not respond within {SECONDS:g} s") from None
    except (HTTPError, InvalidURL, ConfigError, OSError) as error:
        raise Unknown(f"the watch {place} cannot be reached: {str(error) or type(error).__name__}") from None
    except NoMetrics as error:
        raise Unknown(f"{place}: {error}") from None


_PATIENCE = Timeout(SECONDS)


async def _text(response: Response, place: str) -> str:
    received = bytearray()
    async for part in response.aiter_raw():
        received += part
        if len(received) > MOST_BYTES:
            raise Unknown(f"the watch {place} answers with more than {MOST_BYTES // 1024 // 1024} MiB")
    return received.decode(errors="replace")


async def ask_cluster(client: AsyncClient, namespaces: Collection[str], missing: tuple[str, ...] = ()) -> History:
    """Ask what the cluster still knows; the empty namespace stands for all.

    Raises:
        ClusterUnavailable: the API server cannot be asked, or neither pods nor Events may be seen.

    """
    api = ApiClient(client)
    remains: list[Remains] = []
    events: list[Told] = []
    rights = []
    for namespace in namespaces:
        pods = ApiRequest("pods", namespace=namespace, labels=INJECTED)
        told = ApiRequest("events", namespace=namespace, fields=f"source={COMPONENT}")
        found, no_pods = await _seen(api.list(pods, read_remains))
        said, no_events = await _seen(api.list(told, read_told))
        remains += found
        events += [each for each in said if each]
        rights += [right for right in (no_pods, no_events) if right]
    if len(rights) == 2 * len(namespaces):
        raise ClusterUnavailable(f"permissions missing: {'; '.join(rights)}")
    return gather(remains, events, "", (*missing, *(f"permission missing: {right}" for right in rights)))


async def _seen(answer: Awaitable[list[_Answered]]) -> tuple[list[_Answered], str]:
    try:
        return await answer, ""
    except Forbidden as forbidden:
        return [], str(forbidden)
