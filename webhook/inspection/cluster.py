"""The cluster, asked: every request is one that reads, and of each answer only what matters is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import msgspec
from httpx2 import AsyncClient, HTTPError, InvalidURL, Response
from lightkube.core.exceptions import ConfigError

from webhook.core.pod import JsonObject
from webhook.inspection.connection import CannotAsk
from webhook.inspection.installation import service_of
from webhook.inspection.observations import Names, Namespace, Observations, Unseen, WorkerPod
from webhook.inspection.questions import (
    MISLABELLED_PODS,
    NAMESPACES,
    PROTECTED_PODS,
    Candidates,
    Question,
    about_configuration,
    about_deployment,
    about_endpoints,
    about_replicas,
    about_unprotected,
)
from webhook.inspection.selectors import shipped_entries
from webhook.inspection.worker_pods import candidate_pod, injected_pod, mislabelled_pod

PAGE = 500
"""Objects of an answer, as kubectl asks for them."""
AT_ONCE = 4
"""Requests at a time: the API server has other things to do."""
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
Seen = TypeVar("Seen")


class _Forbidden(Exception):
    """The right for a question is missing."""


async def observe(client: AsyncClient, names: Names) -> Observations:
    """Look at everything once.

    Raises:
        CannotAsk: the API server cannot be reached, or does not know who asks.

    """
    api = _Api(client)
    configuration = await _seen(api.get(about_configuration(names.configuration)))
    service = service_of(configuration, names)
    deployment: JsonObject | Unseen | None = None
    replicas: list[JsonObject] | Unseen = []
    endpoint_slices: list[JsonObject] | Unseen = []
    if service:
        deployment = await _seen(api.get(about_deployment(*service)))
        endpoint_slices = await _seen(api.list(about_endpoints(*service), dict))
    if service and deployment and not isinstance(deployment, Unseen):
        replicas = await _seen(api.list(about_replicas(service[0], deployment["spec"]["selector"]), dict))
    namespaces = await _seen(api.list(NAMESPACES, _namespace))
    seen = Observations(names, configuration, deployment, replicas, endpoint_slices, namespaces, [])
    return msgspec.structs.replace(seen, pods=await _seen(_pods(api, seen)))


async def _seen(answer: Awaitable[Seen]) -> Seen | Unseen:
    try:
        return await answer
    except _Forbidden as forbidden:
        return Unseen(str(forbidden))


async def _pods(api: _Api, seen: Observations) -> list[WorkerPod]:
    namespaces = [] if isinstance(seen.namespaces, Unseen) else seen.namespaces
    entries = seen.pod_entries or shipped_entries(seen.names.namespace)
    lists = await _all(
        api.list(PROTECTED_PODS, injected_pod),
        api.list(MISLABELLED_PODS, mislabelled_pod),
        *(_candidates(api, candidates) for candidates in about_unprotected(entries, namespaces)),
    )
    # A labelled namespace's pod may be in two lists; what the core says of it counts, and comes last.
    found = {(pod.namespace, pod.name): pod for pods in lists for pod in pods}
    return [found[key] for key in sorted(found)]


async def _candidates(api: _Api, candidates: Candidates) -> list[WorkerPod]:
    pods = await api.list(candidates.question, candidate_pod)
    return [pod for pod in pods if pod.namespace in candidates.namespaces]


async def _all(*answers: Awaitable[list[WorkerPod]]) -> list[list[WorkerPod]]:
    tasks = [asyncio.ensure_future(answer) for answer in answers]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _namespace(raw: JsonObject) -> Namespace:
    return Namespace(raw["metadata"]["name"], raw["metadata"].get("labels") or {})


class _Api:
    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def get(self, question: Question) -> JsonObject | None:
        """Ask for one object; None where it is not there."""
        response = await self._ask(question, {})
        return None if response.status_code == 404 else _read(response)

    async def list(self, question: Question, keep: Callable[[JsonObject], Seen]) -> list[Seen]:
        """Ask page by page, and keep of each object what `keep` returns: clusters are large."""
        return [keep(raw) async for raw in self._pages(question)]

    async def _pages(self, question: Question) -> AsyncIterator[JsonObject]:
        parameters = {"limit": str(PAGE)}
        parameters |= {"labelSelector": question.labels} if question.labels else {}
        parameters |= {"fieldSelector": question.fields} if question.fields else {}
        while True:
            response = await self._ask(question, parameters)
            page = _read(response, gone_is_fine=True)
            for raw in page.get("items") or ():
                yield raw
            # After 410 the rest of the list is had by another token, as it is now: the list took too long.
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            parameters["continue"] = token

    async def _ask(self, question: Question, parameters: dict[str, str]) -> Response:
        headers = {"Accept": METADATA_ONLY if question.metadata_only else "application/json"}
        try:
            async with self._turn:
                response = await self._client.get(question.path, params=parameters, headers=headers)
        except (HTTPError, InvalidURL, ConfigError, OSError) as error:
            raise CannotAsk(f"the API server cannot be asked: {str(error) or type(error).__name__}") from None
        if response.status_code == 403:
            raise _Forbidden(question.right)
        return response


def _read(response: Response, *, gone_is_fine: bool = False) -> JsonObject:
    if response.status_code == 401:
        raise CannotAsk("the API server does not know you: the credentials are missing, wrong or expired")
    try:
        answer = msgspec.json.decode(response.content, type=JsonObject)
    except msgspec.DecodeError:
        raise CannotAsk(f"what answers is no API server of Kubernetes (status {response.status_code})") from None
    if response.is_success or (gone_is_fine and response.status_code == 410 and "metadata" in answer):
        return answer
    raise CannotAsk(f"the API server answers {response.status_code}: {str(answer.get('message', ''))[:200]}")
