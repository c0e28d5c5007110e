"""Requests to the API server: bounded, paginated reads, and one kind of change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

import msgspec
from httpx2 import AsyncClient

from certs.api_server import CLIENT_ERRORS, DECODE_ERRORS, ApiServer, ApiServerUnavailable, Limits, ResponseTooLarge
from webhook.core.pod import JsonObject
from webhook.kubernetes.errors import ClusterUnavailable, Forbidden, PageTooLarge, PatchRejected
from webhook.kubernetes.requests import ApiRequest

PAGE_SIZE = 500
"""Objects per page, as in kubectl."""
MAX_MESSAGE_LENGTH = 200
MAX_CONCURRENT_REQUESTS = 4
"""Spares the API server."""
LIMITS = Limits(seconds=120, response_bytes=64 * 1024 * 1024, compression=True)
"""For pages, which may take long over a slow connection; a larger one is requested again with fewer objects."""
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
"""https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply"""
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
Result = TypeVar("Result")


class NotPermitted(msgspec.Struct, frozen=True):
    """Not readable, for lack of a permission."""

    permission: str


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


class _Response(msgspec.Struct, frozen=True):
    status: int
    content: bytes


class ApiClient:
    """Sends a few requests at a time, page by page."""

    def __init__(self, client: AsyncClient, limits: Limits = LIMITS) -> None:
        self._api_server = ApiServer(client, limits)
        self._semaphore = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS)

    async def get(self, request: ApiRequest) -> JsonObject | None:
        """Get one object; None if it does not exist."""
        response = await self._get(request, {})
        return None if response.status == HTTPStatus.NOT_FOUND else _decode(response)

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
        if response.status in (403, 404, 409, 422):
            raise PatchRejected(_message(response))
        return _decode(response)

    async def _pages(self, request: ApiRequest) -> AsyncIterator[JsonObject]:
        limit, token = PAGE_SIZE, ""
        selectors = {"labelSelector": request.labels, "fieldSelector": request.fields}
        while True:
            parameters = {"limit": str(limit), **selectors, "continue": token}
            try:
                response = await self._get(request, {name: value for name, value in parameters.items() if value})
            except PageTooLarge:
                if limit == 1:
                    raise
                limit //= 2
                continue
            if response.status == HTTPStatus.NOT_FOUND:
                return
            page = _decode(response, accept_expired=True)
            for raw in page.get("items") or ():
                yield raw
            # After a 410, a new token returns the rest of the list in its current state: the list took too long.
            token = (page.get("metadata") or {}).get("continue", "")
            if not token:
                return

    async def _get(self, request: ApiRequest, parameters: dict[str, str]) -> _Response:
        response = await self._send("GET", request, parameters)
        if response.status == HTTPStatus.FORBIDDEN:
            raise Forbidden(request.permission)
        return response

    async def _send(
        self, method: str, request: ApiRequest, parameters: dict[str, str], change: bytes | None = None
    ) -> _Response:
        headers = {"Accept": METADATA_ONLY} if request.metadata_only else {}
        headers |= {} if change is None else {"Content-Type": STRATEGIC_MERGE}
        api_server = self._api_server
        try:
            async with (
                self._semaphore,
                api_server.stream(method, request.path, parameters, headers, change) as response,
            ):
                return _Response(response.status_code, await api_server.read(response))
        except ResponseTooLarge as error:
            raise PageTooLarge(str(error)) from None
        except ApiServerUnavailable as error:
            raise ClusterUnavailable(str(error)) from None
        except CLIENT_ERRORS as error:
            raise ClusterUnavailable(
                f"the API server cannot be reached: {str(error) or type(error).__name__}"
            ) from None


def _decode(response: _Response, *, accept_expired: bool = False) -> JsonObject:
    if response.status == HTTPStatus.UNAUTHORIZED:
        raise ClusterUnavailable("the API server rejects the credentials: they are missing, wrong or expired")
    answer = _json(response)
    if answer is None:
        raise ClusterUnavailable(f"the server is not a Kubernetes API server (status {response.status})")
    if response.status in range(200, 300):
        return answer
    if accept_expired and response.status == HTTPStatus.GONE and "metadata" in answer:
        return answer
    raise ClusterUnavailable(f"the API server responded with {response.status}: {_message(response)}")


def _message(response: _Response) -> str:
    answer = _json(response)
    return f"status {response.status}" if answer is None else str(answer.get("message", ""))[:MAX_MESSAGE_LENGTH]


def _json(response: _Response) -> JsonObject | None:
    try:
        return msgspec.json.decode(response.content, type=JsonObject)
    except DECODE_ERRORS:
        return None
