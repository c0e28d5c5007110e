"""Reads the cluster; only the relevant parts of each object are kept."""

from __future__ import annotations

import msgspec
from httpx2 import AsyncClient

from webhook.core.pod import JsonObject
from webhook.history.asking import Unknown, ask_address, ask_through_api_server
from webhook.history.evidence import History
from webhook.inspection.api import Api, all_of, seen
from webhook.inspection.connection import CannotAsk
from webhook.inspection.drain_asking import observe_limits
from webhook.inspection.installation import service_of
from webhook.inspection.observations import (
    Names,
    Namespace,
    NoHistory,
    Observations,
    State,
    Unseen,
    WorkerPod,
)
from webhook.inspection.questions import (
    MISLABELLED_PODS,
    NAMESPACES,
    PROTECTED_PODS,
    Candidates,
    about_configuration,
    about_deployment,
    about_endpoints,
    about_replicas,
    about_unprotected,
)
from webhook.inspection.selectors import shipped_entries
from webhook.inspection.worker_pods import InjectedPodFields, candidate_pod, injected_pod, mislabelled_pod


async def observe(
    client: AsyncClient, names: Names, *, limits: bool = True, kubelets: bool = False, watch_url: str | None = None
) -> Observations:
    """Read everything once; limits of drains and kubelets only if wanted.

    How drains went is told by the watch, which is asked at `watch_url` or through the API server; with `limits` alone.

    Raises:
        CannotAsk: the API server cannot be reached, or rejects the credentials.

    """
    api = Api(client)
    configuration = await seen(api.get(about_configuration(names.configuration)))
    service = service_of(configuration, names)
    deployment: JsonObject | Unseen | None = None
    replicas: list[JsonObject] | Unseen = []
    endpoint_slices: list[JsonObject] | Unseen = []
    if service:
        deployment = await seen(api.get(about_deployment(*service)))
        endpoint_slices = await seen(api.list(about_endpoints(*service), dict))
    if service and deployment and not isinstance(deployment, Unseen):
        replicas = await seen(api.list(about_replicas(service[0], deployment["spec"]["selector"]), dict))
    namespaces = await seen(api.list(NAMESPACES, _namespace))
    observed = Observations(names, configuration, deployment, replicas, endpoint_slices, namespaces, [])
    pods = await seen(_pods(api, observed))
    observed = msgspec.structs.replace(observed, pods=pods)
    if isinstance(pods, Unseen) or not limits:
        return observed
    return msgspec.structs.replace(
        observed,
        limits=await observe_limits(api, pods, kubelets=kubelets),
        history=await _history(client, names.namespace, watch_url) if any(map(_is_protected, pods)) else None,
    )


def _is_protected(pod: WorkerPod) -> bool:
    return pod.state is State.PROTECTED


async def _history(client: AsyncClient, namespace: str, watch_url: str | None) -> History | NoHistory:
    try:
        if not watch_url:
            return await ask_through_api_server(client, namespace)
        # Not the API server's client: its credentials must not reach another server.
        async with AsyncClient() as other:
            return await ask_address(other, watch_url)
    # A failure of the watch must not affect the rest.
    except (Unknown, CannotAsk) as error:
        return NoHistory(str(error))


async def _pods(api: Api, observed: Observations) -> list[WorkerPod]:
    namespaces = [] if isinstance(observed.namespaces, Unseen) else observed.namespaces
    entries = observed.pod_entries or shipped_entries(observed.names.namespace)
    lists = await all_of(
        api.list(PROTECTED_PODS, injected_pod, InjectedPodFields),
        api.list(MISLABELLED_PODS, mislabelled_pod),
        *(_candidates(api, candidates) for candidates in about_unprotected(entries, namespaces)),
    )
    # A pod in a labelled namespace may be in two lists; the core's verdict on it has priority and comes last.
    found = {(pod.namespace, pod.name): pod for pods in lists for pod in pods}
    return [found[key] for key in sorted(found)]


async def _candidates(api: Api, candidates: Candidates) -> list[WorkerPod]:
    pods = await api.list(candidates.question, candidate_pod)
    return [pod for pod in pods if pod.namespace in candidates.namespaces]


def _namespace(raw: JsonObject) -> Namespace:
    return Namespace(raw["metadata"]["name"], raw["metadata"].get("labels") or {})
