"""Lists of pods, page by page, and watches, line by line, with limits on what the API server sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import aclosing
from enum import Enum
from http import HTTPStatus

import msgspec
from httpx2 import AsyncClient, HTTPError, Response, Timeout

from certs.api_server import ERRORS, JSON, UNREADABLE, NoAnswer, Refused, TooLarge, body, refusal, unreachable
from certs.errors import ExpectedError
from webhook.core.pod import JsonObject
from webhook.drains.kept_fields import read_pod

PAGE = 500
"""Pods per page, as in kubectl."""
MOST_PAGE_BYTES = 8 * 1024 * 1024
"""Maximum size of a page: a larger one is requested again with fewer pods."""
MOST_LINE_BYTES = 16 * 1024 * 1024
"""Maximum size of a pod: etcd stores 1.5 MiB, and JSON may encode a byte as six characters."""
PAGE_SECONDS = 60.0
BEGIN_SECONDS = 10.0
WATCH_SECONDS = 300
"""After this time, the API server is asked to end a watch."""
SILENT_SECONDS = 100.0
"""After this time without data, a watch is restarted where it was: bookmarks come every minute, and a connection may be
dead."""
_HEADERS = {"Accept": JSON, "Accept-Encoding": "identity"}


class Expired(ExpectedError):
    """The API server no longer knows that version: all pods have to be listed again."""


class Kind(Enum):
    """The kind of a watch event."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    ERROR = "ERROR"


class Line(msgspec.Struct, frozen=True):
    """A watch event; `pod` is None for a bookmark, and for an object that is not a valid pod."""

    kind: Kind
    version: str
    pod: JsonObject | None


class _ListMeta(msgspec.Struct, frozen=True):
    version: str = msgspec.field(default="", name="resourceVersion")
    token: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    kind: str
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Versioned(msgspec.Struct):
    metadata: _ListMeta = _ListMeta()
    message: str = ""
    code: int = 0


class _Event(msgspec.Struct):
    type: Kind
    object: msgspec.Raw


class PodStream:
    """Requests a selection of the cluster's pods."""

    def __init__(
        self, client: AsyncClient, selectors: dict[str, str], namespace: str, heard: Callable[[], None]
    ) -> None:
        """Take the client with address and credentials, the selectors, and a callback for responses."""
        self._client = client
        self._heard = heard
        self._path = f"api/v1/namespaces/{namespace}/pods" if namespace else "api/v1/pods"
        self._selectors = {name: value for name, value in selectors.items() if value}

    async def pages(self) -> AsyncGenerator[tuple[list[JsonObject], str], None]:
        """List all pods; each page comes with the version of the whole list.

        Raises:
            Refused: the API server refuses.
            Expired: the list took too long.
            NoAnswer: there is no valid response.

        """
        token, limit = "", PAGE
        while True:
            try:
                page = await self._page({"limit": str(limit)} | ({"continue": token} if token else {}))
            except TooLarge:
                if limit == 1:
                    raise
                limit //= 2
                continue
            yield list(_readable(page.items or ())), page.metadata.version
            token = page.metadata.token
            if not token:
                return

    async def _page(self, parameters: dict[str, str]) -> _Page:
        request = self._client.stream("GET", self._path, params=self._selectors | parameters, headers=_HEADERS)
        try:
            async with asyncio.timeout(PAGE_SECONDS), request as response:
                if not response.is_success:
                    raise await _said_no(response)
                page = _read_page(await body(response, MOST_PAGE_BYTES))
        except TimeoutError:
            raise NoAnswer(f"the API server did not respond within {PAGE_SECONDS:g} s") from None
        except ERRORS as error:
            raise unreachable(error) from None
        if page.kind != "PodList" or not page.metadata.version:
            raise NoAnswer("the API server's response is not a list of pods")
        self._heard()
        return page

    async def lines(self, version: str) -> AsyncGenerator[Line, None]:
        """Yield the events since a version, until the API server ends the watch or stops responding.

        Raises:
            Refused: the API server refuses.
            Expired: that version is too old.
            NoAnswer: there is no valid watch stream.

        """
        parameters = {
            **self._selectors,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        patience = Timeout(BEGIN_SECONDS, read=SILENT_SECONDS)
        try:
            async with self._client.stream(
                "GET", self._path, params=parameters, headers=_HEADERS, timeout=patience
            ) as response:
                if not response.is_success:
                    raise await _said_no(response)
                if not response.headers.get("Content-Type", "").startswith(JSON):
                    raise NoAnswer("the API server's response is not a watch stream")
                # Without events, there may be nothing else for a while.
                self._heard()
                async with aclosing(split_lines(_until_it_breaks_off(response))) as lines:
                    async for line in lines:
                        self._heard()
                        yield read_line(line)
        except ERRORS as error:
            raise unreachable(error) from None


async def _until_it_breaks_off(response: Response) -> AsyncGenerator[bytes, None]:
    """Yield data. Silence or an interruption ends the watch: some proxies close all watches."""
    try:
        async for part in response.aiter_raw():
            yield part
    except HTTPError:
        return


async def split_lines(parts: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Assemble lines from parts; an incomplete last line is dropped.

    Raises:
        TooLarge: a line is larger than any pod.

    """
    rest = bytearray()
    async for part in parts:
        *ends, begin = part.split(b"\n")
        for end in ends:
            line = bytes(rest + end)
            rest.clear()
            if line:
                yield line
        rest += begin
        if len(rest) > MOST_LINE_BYTES:
            raise TooLarge(f"the API server sent a line of more than {MOST_LINE_BYTES // 1024 // 1024} MiB")


def read_line(line: bytes) -> Line:
    """Parse a watch event.

    Raises:
        NoAnswer: it is not a watch event.
        Expired: the version is too old.
        Refused: it reports another error.

    """
    try:
        event = msgspec.json.decode(line, type=_Event)
        told = msgspec.json.decode(event.object, type=_Versioned)
    except UNREADABLE:
        raise NoAnswer("the API server sent a line that is not a watch event") from None
    if event.type is Kind.ERROR:
        raise _trouble(Refused(told.code, told.message, None))
    pods = () if event.type is Kind.BOOKMARK else _readable([event.object])
    return Line(event.type, told.metadata.version, next(iter(pods), None))


def _read_page(content: bytes) -> _Page:
    try:
        return msgspec.json.decode(content, type=_Page)
    except UNREADABLE:
        raise NoAnswer("the API server's response is not a list of pods") from None


def _readable(items: Iterable[msgspec.Raw]) -> Iterable[JsonObject]:
    """Skip invalid pods: one of them must not hide all others."""
    for item in items:
        try:
            yield read_pod(item)
        except UNREADABLE:
            continue


async def _said_no(response: Response) -> ExpectedError:
    return _trouble(await refusal(response))


def _trouble(trouble: ExpectedError) -> ExpectedError:
    is_expired = isinstance(trouble, Refused) and trouble.status == HTTPStatus.GONE
    return Expired(str(trouble)) if is_expired else trouble
