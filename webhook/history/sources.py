"""Reads past drains: from a watch, by its URL or through the API server, else from the cluster's pods and Events."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from http import HTTPStatus

from httpx2 import URL, AsyncClient, HTTPError, InvalidURL, Response
from lightkube.core.exceptions import ConfigError

from webhook.core.pod import JsonObject
from webhook.history.errors import InvalidMetrics, WatchUnavailable
from webhook.history.metrics import read_metrics
from webhook.history.pods_and_events import EventRecord, PodRecord, combine, read_event_record, read_pod_record
from webhook.history.records import History
from webhook.kubernetes.api_client import ApiClient, NotPermitted, catch_forbidden
from webhook.kubernetes.errors import ClusterUnavailable, Forbidden
from webhook.kubernetes.requests import INJECTED, ApiRequest
from webhook.watch.event_writer import COMPONENT

TIMEOUT_SECONDS = 15.0
"""For a whole response."""
MAX_BYTES = 16 * 1024 * 1024
"""Maximum size of a response: a watch with as many workloads as it counts sends 4 MiB."""
WATCH_LABEL = f"app.kubernetes.io/name={COMPONENT}"
PORT_NAME, PORT = "http", 8080
METRICS = "/metrics"
WATCH_PERMISSIONS = ("list pods", "get pods/proxy")
"""Permissions to read a watch through the API server, in the namespace of the installation."""
CLUSTER_PERMISSIONS = ("list pods", "list events")
"""Permissions to read past drains without a watch, in the namespaces to read."""
_HEADERS = {"Accept": "text/plain", "Accept-Encoding": "identity"}


async def read_from_url(client: AsyncClient, url: str) -> History:
    """Read from the watch at a URL.

    Raises:
        WatchUnavailable: there is none, or it does not respond.

    """
    try:
        parsed = URL(url)
    except InvalidURL as error:
        raise WatchUnavailable(f"{url} is not a URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise WatchUnavailable(f"{url} is not the URL of a watch; write for example http://127.0.0.1:8080{METRICS}")
    if parsed.path in ("", "/"):
        parsed = parsed.copy_with(path=METRICS)
    return await _read(client, str(parsed), str(parsed))


async def read_from_watch_pod(client: AsyncClient, namespace: str) -> History:
    """Read from the watch that runs in a namespace, through the API server's proxy to its pod.

    https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls

    Raises:
        WatchUnavailable: none runs there, a permission is missing, or it does not respond.
        ClusterUnavailable: the API server cannot be read.

    """
    question = ApiRequest("pods", namespace=namespace, labels=WATCH_LABEL)
    try:
        pods = await ApiClient(client).list(question, dict)
    except Forbidden as forbidden:
        raise WatchUnavailable(f"permission missing to find the watch: {forbidden}") from None
    running = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Running"]
    if not running:
        state = "is not running" if pods else "is not installed"
        raise WatchUnavailable(
            f"the watch {state} in namespace {namespace} (kubectl apply -k deploy/overlays/drain-watch)"
        )
    # During a rollout, the older one is terminating.
    pod = min(running, key=lambda each: "deletionTimestamp" in each["metadata"])
    name = pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{namespace}/pods/{name}:{_port(pod)}/proxy{METRICS}"
    return await _read(client, path, f"{namespace}/{name}", permission=f"get pods/proxy in namespace {namespace}")


def _port(pod: JsonObject) -> int:
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or ()]
    return next((int(port["containerPort"]) for port in ports if port.get("name") == PORT_NAME), PORT)


async def _read(client: AsyncClient, url: str, place: str, permission: str = "") -> History:
    try:
        async with (
            asyncio.timeout(TIMEOUT_SECONDS),
            client.stream("GET", url, headers=_HEADERS, timeout=TIMEOUT_SECONDS) as response,
        ):
            if permission and response.status_code == HTTPStatus.FORBIDDEN:
                raise WatchUnavailable(f"permission missing to read its metrics: {permission}; or use --watch-url")
            if not response.is_success:
                raise WatchUnavailable(f"the watch {place} responds with status {response.status_code}")
            text = await _read_body(response, place)
        return read_metrics(text, place)
    except TimeoutError:
        raise WatchUnavailable(f"the watch {place} does not respond within {TIMEOUT_SECONDS:g} s") from None
    except (HTTPError, InvalidURL, ConfigError, OSError) as error:
        raise WatchUnavailable(f"the watch {place} cannot be reached: {str(error) or type(error).__name__}") from None
    except InvalidMetrics as error:
        raise WatchUnavailable(f"{place}: {error}") from None


async def _read_body(response: Response, place: str) -> str:
    received = bytearray()
    async for chunk in response.aiter_raw():
        received += chunk
        if len(received) > MAX_BYTES:
            raise WatchUnavailable(f"the watch {place} answers with more than {MAX_BYTES // 1024 // 1024} MiB")
    return received.decode(errors="replace")


async def read_from_cluster(client: AsyncClient, namespaces: Collection[str], missing: tuple[str, ...] = ()) -> History:
    """Read what pods and Events still show; the empty namespace stands for all.

    Raises:
        ClusterUnavailable: the API server cannot be read, or neither pods nor Events may be listed.

    """
    api = ApiClient(client)
    pod_records: list[PodRecord] = []
    event_records: list[EventRecord] = []
    denied = []
    for namespace in namespaces:
        pods = ApiRequest("pods", namespace=namespace, labels=INJECTED)
        events = ApiRequest("events", namespace=namespace, fields=f"source={COMPONENT}")
        found_pods = await catch_forbidden(api.list(pods, read_pod_record))
        found_events = await catch_forbidden(api.list(events, read_event_record))
        denied += [each.permission for each in (found_pods, found_events) if isinstance(each, NotPermitted)]
        pod_records += [] if isinstance(found_pods, NotPermitted) else found_pods
        event_records += [] if isinstance(found_events, NotPermitted) else filter(None, found_events)
    if len(denied) == 2 * len(namespaces):
        raise ClusterUnavailable(f"permissions missing: {'; '.join(denied)}")
    return combine(pod_records, event_records, "", (*missing, *(f"permission missing: {each}" for each in denied)))
