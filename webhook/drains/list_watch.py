"""Lists pods page by page and watches them event by event, with limits on what the API server sends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import aclosing, suppress
from typing import Literal, TypeAlias

import msgspec
from httpx2 import AsyncClient, HTTPError, Response, Timeout

from certs.api_server import CLIENT_ERRORS, DECODE_ERRORS, JSON, ApiServer, Limits, status_error, unavailable
from certs.errors import ApiServerUnavailable, ResponseTooLarge, StatusError
from webhook.core.pod import JsonObject
from webhook.drains.pod_fields import decode_pod

PAGE_SIZE = 250
"""Pods per page: protected pods have 16 KB and more, so kubectl's 500 often exceed the maximum size."""
MAX_PAGE_BYTES = 8 * 1024 * 1024
"""Maximum size of a page: a larger one is requested again with fewer pods."""
MAX_LINE_BYTES = 16 * 1024 * 1024
"""Maximum size of a pod: etcd stores 1.5 MiB, and JSON may encode a byte as six characters."""
PAGE_SECONDS = 60.0
START_SECONDS = 10.0
WATCH_SECONDS = 300
"""After this time, the API server is asked to end a watch."""
SILENT_SECONDS = 100.0
"""After this time without data, a watch is restarted where it was: bookmarks come every minute, and a connection may be
dead."""
_HEADERS = {"Accept": JSON, "Accept-Encoding": "identity"}


EventType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]


class WatchEvent(msgspec.Struct, frozen=True):
    """A watch event; `pod` is None for a bookmark, and for an object that is not a valid pod."""

    type: EventType
    resource_version: str
    pod: JsonObject | None


class _ListMeta(msgspec.Struct, frozen=True):
    resource_version: str = msgspec.field(default="", name="resourceVersion")
    continue_token: str = msgspec.field(default="", name="continue")


class _PodList(msgspec.Struct):
    kind: str
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _PodOrStatus(msgspec.Struct):
    metadata: _ListMeta = _ListMeta()
    message: str = ""
    code: int = 0


class _RawWatchEvent(msgspec.Struct):
    type: EventType
    object: msgspec.Raw


class PodListWatch:
    """Requests a selection of the cluster's pods."""

    def __init__(
        self, client: AsyncClient, selectors: dict[str, str], namespace: str, on_response: Callable[[], None]
    ) -> None:
        """Take a client with address and credentials, the selectors, and a callback for each response."""
        self._client = client
        self._on_response = on_response
        self._path = f"api/v1/namespaces/{namespace}/pods" if namespace else "api/v1/pods"
        self._selectors = {name: value for name, value in selectors.items() if value}

    async def list_pages(self) -> AsyncGenerator[tuple[list[JsonObject], str], None]:
        """List all pods; each page comes with the version of the whole list.

        Raises:
            StatusError: the API server refuses; with 410, the list took too long.
            ApiServerUnavailable: there is no valid response.

        """
        token, limit = "", PAGE_SIZE
        while True:
            try:
                page = await self._list_page({"limit": str(limit)} | ({"continue": token} if token else {}))
            except ResponseTooLarge:
                if limit == 1:
                    raise
                limit //= 2
                continue
            yield list(_parse_pods(page.items or ())), page.metadata.resource_version
            token = page.metadata.continue_token
            if not token:
                return

    async def _list_page(self, parameters: dict[str, str]) -> _PodList:
        api_server = ApiServer(self._client, Limits(PAGE_SECONDS, MAX_PAGE_BYTES))
        try:
            async with api_server.stream("GET", self._path, self._selectors | parameters) as response:
                if not response.is_success:
                    raise await status_error(response)
                content = await api_server.read(response)
        except CLIENT_ERRORS as error:
            raise unavailable(error) from None
        page: _PodList | None = None
        with suppress(*DECODE_ERRORS):
            page = msgspec.json.decode(content, type=_PodList)
        if page is None or page.kind != "PodList" or not page.metadata.resource_version:
            raise ApiServerUnavailable("the API server's response is not a list of pods")
        self._on_response()
        return page

    async def watch(self, resource_version: str) -> AsyncGenerator[WatchEvent, None]:
        """Yield the events since a resource version, until the API server ends the watch or stops responding.

        Raises:
            StatusError: the API server refuses; with 410, that version is too old.
            ApiServerUnavailable: there is no valid watch stream.

        """
        parameters = {
            **self._selectors,
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = Timeout(START_SECONDS, read=SILENT_SECONDS)
        try:
            async with self._client.stream(
                "GET", self._path, params=parameters, headers=_HEADERS, timeout=timeout
            ) as response:
                if not response.is_success:
                    raise await status_error(response)
                if not response.headers.get("Content-Type", "").startswith(JSON):
                    raise ApiServerUnavailable("the API server's response is not a watch stream")
                # Without events, there may be nothing else for a while.
                self._on_response()
                async with aclosing(split_lines(_read_chunks(response))) as lines:
                    async for line in lines:
                        self._on_response()
                        yield parse_watch_event(line)
        except CLIENT_ERRORS as error:
            raise unavailable(error) from None


async def _read_chunks(response: Response) -> AsyncGenerator[bytes, None]:
    """Yield data until the connection is silent or interrupted: some proxies close all watches."""
    with suppress(HTTPError):
        async for chunk in response.aiter_raw():
            yield chunk


async def split_lines(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Assemble lines from chunks; an incomplete last line is dropped.

    Raises:
        ResponseTooLarge: a line is larger than any pod.

    """
    rest = bytearray()
    async for chunk in chunks:
        *ends, start = chunk.split(b"\n")
        for end in ends:
            line = bytes(rest + end)
            rest.clear()
            if line:
                yield line
        rest += start
        if len(rest) > MAX_LINE_BYTES:
            raise ResponseTooLarge(f"the API server sent a line of more than {MAX_LINE_BYTES // 1024 // 1024} MiB")


def parse_watch_event(line: bytes) -> WatchEvent:
    """Parse a watch event.

    Raises:
        ApiServerUnavailable: it is not a watch event.
        StatusError: it reports an error; with 410, the version is too old.

    """
    try:
        event = msgspec.json.decode(line, type=_RawWatchEvent)
        found = msgspec.json.decode(event.object, type=_PodOrStatus)
    except DECODE_ERRORS:
        raise ApiServerUnavailable("the API server sent a line that is not a watch event") from None
    if event.type == "ERROR":
        raise StatusError(found.code, found.message, None)
    pods = () if event.type == "BOOKMARK" else _parse_pods([event.object])
    return WatchEvent(event.type, found.metadata.resource_version, next(iter(pods), None))


def _parse_pods(items: Iterable[msgspec.Raw]) -> Iterable[JsonObject]:
    """Skip invalid pods: one of them must not hide all others."""
    for item in items:
        with suppress(*DECODE_ERRORS):
            yield decode_pod(item)
