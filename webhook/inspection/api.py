"""Requests to the API server: bounded, paginated reads, and one kind of change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from httpx2 import AsyncClient, HTTPError, InvalidURL, Response
from lightkube.core.exceptions import ConfigError

from webhook.core.pod import JsonObject
from webhook.inspection.connection import CannotAsk
from webhook.inspection.observations import Unseen
from webhook.inspection.questions import Question

PAGE = 500
"""Objects per page, as in kubectl."""
LONGEST_MESSAGE = 200
AT_ONCE = 4
"""Concurrent requests, limited to spare the API server."""
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
"""https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply"""
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
Seen = TypeVar("Seen")
Decoded = TypeVar("Decoded")


class _ListMeta(msgspec.Struct):
    token: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    """A page of a list, or the Status in its place; its objects are decoded one by one."""

    metadata: _ListMeta | None = None
    items: list[msgspec.Raw] | None = None


class Forbidden(Exception):
    """Permission for a request is missing."""


class Rejected(Exception):
    """A change is rejected: permission is missing, a policy forbids it, or the object does not exist."""


async def seen(answer: Awaitable[Seen]) -> Seen | Unseen:
    """Await a result; if permission is missing, return which."""
    try:
        return await answer
    except Forbidden as forbidden:
        return Unseen(str(forbidden))


async def all_of(*answers: Awaitable[Seen]) -> list[Seen]:
    """Await results concurrently; if one fails, cancel the others."""
    tasks = [asyncio.ensure_future(answer) for answer in answers]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


class Api:
    """Sends a few requests at a time, page by page."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def get(self, question: Question) -> JsonObject | None:
        """Get one object; None if it does not exist."""
        response = await self._ask(question, {})
        return None if response.status_code == 404 else _read(response)

    async def list(
        self, question: Question, keep: Callable[[JsonObject], Seen], fields: Any = JsonObject
    ) -> list[Seen]:
        """List page by page, and keep only what `keep` returns of each object: clusters are large.

        `fields` is a TypedDict of what `keep` reads; no other field becomes a Python object. A kind that is not
        installed has no objects.
        """
        return [keep(raw) async for raw in self._pages(question, msgspec.json.Decoder(fields))]

    async def patch(self, question: Question, change: JsonObject, manager: str) -> JsonObject:
        """Change one object as a field manager, and return the result.

        Raises:
            Rejected: the API server rejects the change; the message is the API server's.

        """
        parameters = {"fieldManager": manager}
        response = await self._send("PATCH", question, parameters, msgspec.json.encode(change))
        if response.status_code in (403, 404, 409, 422):
            raise Rejected(_message(response))
        return _read(response)

    async def _pages(self, question: Question, decoder: msgspec.json.Decoder[JsonObject]) -> AsyncIterator[JsonObject]:
        parameters = {"limit": str(PAGE)}
        parameters |= {"labelSelector": question.labels} if question.labels else {}
        parameters |= {"fieldSelector": question.fields} if question.fields else {}
        while True:
            page = await self._page(question, parameters)
            for raw in page.items or ():
                yield decoder.decode(raw)
            # After a 410, a new token returns the rest of the list in its current state: the list took too long.
            token = page.metadata.token if page.metadata else ""
            # A page can have 8 MB: two at a time are too many.
            del page
            if not token:
                return
            parameters["continue"] = token

    async def _page(self, question: Question, parameters: dict[str, str]) -> _Page:
        response = await self._ask(question, parameters)
        if response.status_code == 404:
            return _Page()
        page = _decoded(response, _Page)
        if response.is_success or (response.status_code == 410 and page.metadata):
            return page
        raise _no_answer(response)

    async def _ask(self, question: Question, parameters: dict[str, str]) -> Response:
        response = await self._send("GET", question, parameters)
        if response.status_code == 403:
            raise Forbidden(question.right)
        return response

    async def _send(
        self, method: str, question: Question, parameters: dict[str, str], change: bytes | None = None
    ) -> Response:
        headers = {"Accept": METADATA_ONLY if question.metadata_only else "application/json"}
        headers |= {} if change is None else {"Content-Type": STRATEGIC_MERGE}
        try:
            async with self._turn:
                return await self._client.request(
                    method, question.path, params=parameters, content=change, headers=headers
                )
        except (HTTPError, InvalidURL, ConfigError, OSError) as error:
            raise CannotAsk(f"the API server cannot be reached: {str(error) or type(error).__name__}") from None


def _read(response: Response) -> JsonObject:
    answer = _decoded(response, JsonObject)
    if response.is_success:
        return answer
    raise _no_answer(response)


def _decoded(response: Response, kind: type[Decoded]) -> Decoded:
    if response.status_code == 401:
        raise CannotAsk("the API server rejects the credentials: they are missing, wrong or expired")
    try:
        return msgspec.json.decode(response.content, type=kind)
    except msgspec.DecodeError:
        raise CannotAsk(f"the server is not a Kubernetes API server (status {response.status_code})") from None


def _no_answer(response: Response) -> CannotAsk:
    return CannotAsk(f"the API server responded with {response.status_code}: {_message(response)}")


def _message(response: Response) -> str:
    try:
        answer = msgspec.json.decode(response.content, type=JsonObject)
    except msgspec.DecodeError:
        return f"status {response.status_code}"
    return str(answer.get("message", ""))[:LONGEST_MESSAGE]
