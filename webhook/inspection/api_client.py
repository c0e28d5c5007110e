"""Requests to the API server: bounded, paginated reads, and one kind of change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import msgspec
from httpx2 import AsyncClient, HTTPError, InvalidURL, Response
from lightkube.core.exceptions import ConfigError

from webhook.core.pod import JsonObject
from webhook.inspection.errors import ClusterUnavailable, Forbidden, PatchRejected
from webhook.inspection.requests import ApiRequest
from webhook.inspection.snapshot import NotPermitted

PAGE = 500
"""Objects per page, as in kubectl."""
LONGEST_MESSAGE = 200
AT_ONCE = 4
"""Concurrent requests, limited to spare the API server."""
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
"""https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply"""
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
Result = TypeVar("Result")


async def catch_forbidden(answer: Awaitable[Result]) -> Result | NotPermitted:
    """Await a result; if permission is missing, return which."""
    try:
        return await answer
    except Forbidden as forbidden:
        return NotPermitted(str(forbidden))


async def gather_or_cancel(*answers: Awaitable[Result]) -> list[Result]:
    """Await results concurrently; if one fails, cancel the others."""
    tasks = [asyncio.ensure_future(answer) for answer in answers]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


class ApiClient:
    """Sends a few requests at a time, page by page."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def get(self, request: ApiRequest) -> JsonObject | None:
        """Get one object; None if it does not exist."""
        response = await self._ask(request, {})
        return None if response.status_code == 404 else _read(response)

    async def list(self, request: ApiRequest, keep: Callable[[JsonObject], Result]) -> list[Result]:
        """List page by page, and keep only what `keep` returns of each object: clusters are large.

        A kind that is not installed has no objects.
        """
        return [keep(raw) async for raw in self._pages(request)]

    async def patch(self, request: ApiRequest, change: JsonObject, manager: str) -> JsonObject:
        """Change one object as a field manager, and return the result.

        Raises:
            Rejected: the API server rejects the change; the message is the API server's.

        """
        parameters = {"fieldManager": manager}
        response = await self._send("PATCH", request, parameters, msgspec.json.encode(change))
        if response.status_code in (403, 404, 409, 422):
            raise PatchRejected(_message(response))
        return _read(response)

    async def _pages(self, request: ApiRequest) -> AsyncIterator[JsonObject]:
        parameters = {"limit": str(PAGE)}
        parameters |= {"labelSelector": request.labels} if request.labels else {}
        parameters |= {"fieldSelector": request.fields} if request.fields else {}
        while True:
            response = await self._ask(request, parameters)
            if response.status_code == 404:
                return
            page = _read(response, gone_is_fine=True)
            for raw in page.get("items") or ():
                yield raw
            # After a 410, a new token returns the rest of the list in its current state: the list took too long.
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            parameters["continue"] = token

    async def _ask(self, request: ApiRequest, parameters: dict[str, str]) -> Response:
        response = await self._send("GET", request, parameters)
        if response.status_code == 403:
            raise Forbidden(request.permission)
        return response

    async def _send(
        self, method: str, request: ApiRequest, parameters: dict[str, str], change: bytes | None = None
    ) -> Response:
        headers = {"Accept": METADATA_ONLY if request.metadata_only else "application/json"}
        headers |= {} if change is None else {"Content-Type": STRATEGIC_MERGE}
        try:
            async with self._turn:
                return await self._client.request(
                    method, request.path, params=parameters, content=change, headers=headers
                )
        except (HTTPError, InvalidURL, ConfigError, OSError) as error:
            raise ClusterUnavailable(
                f"the API server cannot be reached: {str(error) or type(error).__name__}"
            ) from None


def _read(response: Response, *, gone_is_fine: bool = False) -> JsonObject:
    if response.status_code == 401:
        raise ClusterUnavailable("the API server rejects the credentials: they are missing, wrong or expired")
    try:
        answer = msgspec.json.decode(response.content, type=JsonObject)
    except msgspec.DecodeError:
        raise ClusterUnavailable(f"the server is not a Kubernetes API server (status {response.status_code})") from None
    if response.is_success or (gone_is_fine and response.status_code == 410 and "metadata" in answer):
        return answer
    raise ClusterUnavailable(f"the API server responded with {response.status_code}: {_message(response)}")


def _message(response: Response) -> str:
    try:
        answer = msgspec.json.decode(response.content, type=JsonObject)
    except msgspec.DecodeError:
        return f"status {response.status_code}"
    return str(answer.get("message", ""))[:LONGEST_MESSAGE]
