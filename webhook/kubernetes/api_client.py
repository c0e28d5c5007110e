"""Requests to the API server: bounded, paginated reads, and one kind of change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from httpx2 import AsyncClient

from certs.api_server import CLIENT_ERRORS, DECODE_ERRORS, ApiServer, Limits
from certs.errors import ApiServerUnavailable, ResponseTooLarge
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
Decoded = TypeVar("Decoded")


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


class _PageMetadata(msgspec.Struct, frozen=True):
    continue_token: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct, frozen=True):
    metadata: _PageMetadata | None = None
    items: list[msgspec.Raw] | None = None


class ApiClient:
    """Sends a few requests at a time, page by page."""

    def __init__(self, client: AsyncClient, limits: Limits = LIMITS) -> None:
        self._api_server = ApiServer(client, limits)
        self._semaphore = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS)

    async def get(self, request: ApiRequest) -> JsonObject | None:
        """Get one object; None if it does not exist."""
        response = await self._get(request, {})
        return None if response.status == HTTPStatus.NOT_FOUND else _decode_object(response)

    async def list(
        self, request: ApiRequest, keep: Callable[[JsonObject], Result], fields: Any = JsonObject
    ) -> list[Result]:
        """List page by page, and keep only what `keep` returns of each object: clusters are large.

        `fields` is a TypedDict of what `keep` reads; no other field becomes a Python object. A kind that is not
        installed has no objects.
        """
        return [keep(raw) async for raw in self._objects(request, msgspec.json.Decoder(fields))]

    async def patch(self, request: ApiRequest, change: JsonObject, manager: str) -> JsonObject:
        """Change one object as a field manager, and return the result.

        Raises:
            Rejected: the API server rejects the change; the message is the API server's.

        """
        parameters = {"fieldManager": manager}
        response = await self._send("PATCH", request, parameters, msgspec.json.encode(change))
        if response.status in (403, 404, 409, 422):
            raise PatchRejected(_message(response))
        return _decode_object(response)

    async def _objects(
        self, request: ApiRequest, decoder: msgspec.json.Decoder[JsonObject]
    ) -> AsyncIterator[JsonObject]:
        limit, token = PAGE_SIZE, ""
        selectors = {"labelSelector": request.labels, "fieldSelector": request.fields}
        while True:
            parameters = {"limit": str(limit), **selectors, "continue": token}
            try:
                page = await self._page(request, {name: value for name, value in parameters.items() if value})
            except PageTooLarge:
                if limit == 1:
                    raise
                limit //= 2
                continue
            for raw in page.items or ():
                yield decoder.decode(raw)
            # After a 410, a new token returns the rest of the list in its current state: the list took too long.
            token = page.metadata.continue_token if page.metadata else ""
            # A page can have 8 MB: two at a time are too many.
            del page
            if not token:
                return

    async def _page(self, request: ApiRequest, parameters: dict[str, str]) -> _Page:
        response = await self._get(request, parameters)
        if response.status == HTTPStatus.NOT_FOUND:
            return _Page()
        page = _decode(response, _Page)
        if response.status in range(200, 300) or (response.status == HTTPStatus.GONE and page.metadata):
            return page
        raise _error(response)

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
        server = self._api_server
        try:
            async with self._semaphore, server.stream(method, request.path, parameters, headers, change) as response:
                return _Response(response.status_code, await server.read(response))
        except ResponseTooLarge as error:
            raise PageTooLarge(str(error)) from None
        except ApiServerUnavailable as error:
            raise ClusterUnavailable(str(error)) from None
        except CLIENT_ERRORS as error:
            reason = str(error) or type(error).__name__
            raise ClusterUnavailable(f"the API server cannot be reached: {reason}") from None


def _decode_object(response: _Response) -> JsonObject:
    answer = _decode(response, JsonObject)
    if response.status in range(200, 300):
        return answer
    raise _error(response)


def _decode(response: _Response, kind: type[Decoded]) -> Decoded:
    if response.status == HTTPStatus.UNAUTHORIZED:
        raise ClusterUnavailable("the API server rejects the credentials: they are missing, wrong or expired")
    try:
        return msgspec.json.decode(response.content, type=kind)
    except DECODE_ERRORS:
        raise ClusterUnavailable(f"the server is not a Kubernetes API server (status {response.status})") from None


def _error(response: _Response) -> ClusterUnavailable:
    return ClusterUnavailable(f"the API server responded with {response.status}: {_message(response)}")


def _message(response: _Response) -> str:
    try:
        return str(msgspec.json.decode(response.content, type=JsonObject).get("message", ""))[:MAX_MESSAGE_LENGTH]
    except DECODE_ERRORS:
        return f"status {response.status}"
