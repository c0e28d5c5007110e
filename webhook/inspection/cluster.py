"""Takes a snapshot of the cluster, with only the relevant parts of each object."""

from __future__ import annotations

from collections.abc import Container

import msgspec
from httpx2 import AsyncClient

from webhook.core.pod import JsonObject
from webhook.history.errors import WatchUnavailable
from webhook.history.records import History
from webhook.history.sources import read_from_url, read_from_watch_pod
from webhook.inspection.drain_limit_collection import collect_drain_limits
from webhook.inspection.installation_checks import called_service
from webhook.inspection.requests import MISLABELLED_PODS, NAMESPACES, PROTECTED_PODS, unprotected_pods_requests
from webhook.inspection.snapshot import HistoryUnavailable, Names, Namespace, Snapshot, State, WorkerPod
from webhook.inspection.worker_pods import (
    InjectedPodFields,
    read_candidate_pod,
    read_injected_pod,
    read_mislabelled_pod,
)
from webhook.kubernetes.api_client import ApiClient, NotPermitted, catch_forbidden, gather_or_cancel
from webhook.kubernetes.errors import ClusterUnavailable
from webhook.kubernetes.requests import ApiRequest
from webhook.kubernetes.selectors import default_entries, to_query


async def take_snapshot(
    client: AsyncClient, names: Names, *, limits: bool = True, kubelets: bool = False, watch_url: str | None = None
) -> Snapshot:
    """Read everything once; limits of drains and kubelets only if wanted.

    With `limits`, how drains ended is read from the watch: at `watch_url`, or through the API server.

    Raises:
        ClusterUnavailable: the API server cannot be reached, or rejects the credentials.

    """
    api = ApiClient(client)
    # It shows what the API server calls, and for which pods.
    webhooks = ApiRequest("mutatingwebhookconfigurations", "admissionregistration.k8s.io", name=names.configuration)
    configuration = await catch_forbidden(api.get(webhooks))
    service = called_service(configuration, names)
    deployment: JsonObject | NotPermitted | None = None
    replicas: list[JsonObject] | NotPermitted = []
    endpoint_slices: list[JsonObject] | NotPermitted = []
    if service:
        deployment = await catch_forbidden(api.get(ApiRequest("deployments", "apps", *service)))
        labels = f"kubernetes.io/service-name={service[1]}"
        slices = ApiRequest("endpointslices", "discovery.k8s.io", service[0], labels=labels)
        endpoint_slices = await catch_forbidden(api.list(slices, dict))
    if service and deployment and not isinstance(deployment, NotPermitted):
        labels = to_query(deployment["spec"]["selector"])
        replicas = await catch_forbidden(api.list(ApiRequest("pods", namespace=service[0], labels=labels), dict))
    namespaces = await catch_forbidden(api.list(NAMESPACES, _namespace))
    snapshot = Snapshot(names, configuration, deployment, replicas, endpoint_slices, namespaces, [])
    pods = await catch_forbidden(_pods(api, snapshot))
    snapshot = msgspec.structs.replace(snapshot, pods=pods)
    if isinstance(pods, NotPermitted) or not limits:
        return snapshot
    drain_limits = await collect_drain_limits(api, pods, kubelets=kubelets)
    is_any_protected = any(pod.state is State.PROTECTED for pod in pods)
    history = await _history(client, names.namespace, watch_url) if is_any_protected else None
    return msgspec.structs.replace(snapshot, limits=drain_limits, history=history)


async def _history(client: AsyncClient, namespace: str, watch_url: str | None) -> History | HistoryUnavailable:
    try:
        if not watch_url:
            return await read_from_watch_pod(client, namespace)
        # Not the API server's client: its credentials must not reach another server.
        async with AsyncClient() as other:
            return await read_from_url(other, watch_url)
    # A failure of the watch must not affect the rest.
    except (WatchUnavailable, ClusterUnavailable) as error:
        return HistoryUnavailable(str(error))


async def _pods(api: ApiClient, snapshot: Snapshot) -> list[WorkerPod]:
    namespaces = [] if isinstance(snapshot.namespaces, NotPermitted) else snapshot.namespaces
    entries = snapshot.pod_entries or default_entries(snapshot.names.namespace)
    lists = await gather_or_cancel(
        api.list(PROTECTED_PODS, read_injected_pod, InjectedPodFields),
        api.list(MISLABELLED_PODS, read_mislabelled_pod),
        *(_unprotected(api, *each) for each in unprotected_pods_requests(entries, namespaces)),
    )
    # A pod in a labelled namespace may be in two lists; the core's verdict on it has priority and comes last.
    found = {(pod.namespace, pod.name): pod for pods in lists for pod in pods}
    return [found[key] for key in sorted(found)]


async def _unprotected(api: ApiClient, request: ApiRequest, namespaces: Container[str]) -> list[WorkerPod]:
    return [pod for pod in await api.list(request, read_candidate_pod) if pod.namespace in namespaces]


def _namespace(raw: JsonObject) -> Namespace:
    return Namespace(raw["metadata"]["name"], raw["metadata"].get("labels") or {})
