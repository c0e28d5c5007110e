"""Requests to the API server, with bounded time and memory, whatever it returns.

Uses the client underneath lightkube's own, with lightkube's credentials. lightkube's client accepts responses of any
size, and raises unexpected errors while reading them (KeyError for a 503 without a Content-Type).
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
from httpx2 import AsyncClient, HTTPError, InvalidURL, LocalProtocolError, Response, Timeout
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError

from certs.errors import ApiServerUnavailable, ExpectedError, NoClusterConfigured, ResponseTooLarge, StatusError

JsonObject: TypeAlias = dict[str, Any]

MAX_ERROR_BYTES = 64 * 1024
JSON = "application/json"


class ObjectResponse(msgspec.Struct, frozen=True):
    """An object, and the API server's time of the response; None if unknown."""

    object: JsonObject
    date: datetime.datetime | None


class _Status(msgspec.Struct):
    kind: str
    message: str = ""


CLIENT_ERRORS = (HTTPError, InvalidURL, ConfigError, OSError, ValueError)
"""Errors of the client: ValueError comes from invalid responses or token files."""
DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Errors from parsing something that is not JSON, or not of the expected shape."""


class Limits(msgspec.Struct, frozen=True):
    """What a response may take."""

    seconds: float = 10
    """For the whole response: the client's own timeouts apply to each part, so a trickling response never reaches
    them."""
    response_bytes: int = 4 * 1024 * 1024
    """After decompression. etcd stores at most 1.5 MiB: https://etcd.io/docs/v3.6/dev-guide/limit/"""
    watch_seconds: float = 300
    """After this time, the API server is asked to end a watch; after twice this time, the watch is ended."""
    compression: bool = False
    """Whether responses may be compressed: large lists may have to cross a slow connection."""


DEFAULT_LIMITS = Limits()


class ApiServer:
    """Sends requests to the API server."""

    def __init__(self, client: AsyncClient, limits: Limits = DEFAULT_LIMITS) -> None:
        """Take the client, which has the address and credentials."""
        self._client = client
        self._limits = limits

    async def request(
        self,
        method: str,
        path: str,
        kind: str,
        content: object = None,
        *,
        media_type: str = JSON,
        field_manager: str = "",
    ) -> ObjectResponse:
        """Send a request, and return an object of a kind; `field_manager` is that of a change.

        Raises:
            StatusError: the API server refuses.
            ApiServerUnavailable: there is no valid response within the limits.

        """
        headers = {"Content-Type": media_type} if content else {}
        sent = msgspec.json.encode(content) if content else None
        parameters = {"fieldManager": field_manager} if field_manager else {}
        try:
            async with self.stream(method, path, parameters, headers, sent) as response:
                if not response.is_success:
                    raise await status_error(response)
                body = await self.read(response)
        except CLIENT_ERRORS as error:
            raise unavailable(error) from None
        try:
            found = msgspec.json.decode(body, type=JsonObject)
        except DECODE_ERRORS:
            raise ApiServerUnavailable("the API server's response is not a JSON object") from None
        if found.get("kind") != kind:
            raise ApiServerUnavailable(f"the API server's response is not a {kind}")
        return ObjectResponse(found, response_date(response))

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str],
        headers: Mapping[str, str] = MappingProxyType({}),
        content: bytes | None = None,
    ) -> AsyncIterator[Response]:
        """Send a request; its response, whatever the status, must be read within the time limit.

        Raises:
            ApiServerUnavailable: the time is over.
            CLIENT_ERRORS: these are left to the caller.

        """
        encoding = "gzip" if self._limits.compression else "identity"
        headers = {"Accept": JSON, "Accept-Encoding": encoding, **headers}
        request = self._client.stream(method, path, params=dict(parameters), headers=headers, content=content)
        try:
            async with asyncio.timeout(self._limits.seconds), request as response:
                yield response
        except TimeoutError:
            raise ApiServerUnavailable(f"the API server did not respond within {self._limits.seconds:g} s") from None

    async def read(self, response: Response) -> bytes:
        """Return a response's body.

        Raises:
            ResponseTooLarge: it exceeds the limit.
            ApiServerUnavailable: it is compressed, although that was not accepted.

        """
        return await read_body(response, self._limits.response_bytes, compression=self._limits.compression)

    async def watch(self, path: str, name: str, changed: Callable[[], None]) -> None:
        """Yield for each change of an object until the API server ends the watch; the events are not parsed.

        Raises:
            StatusError: the API server refuses.
            ApiServerUnavailable: the watch cannot be started.

        """
        parameters = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "timeoutSeconds": f"{self._limits.watch_seconds:g}",
        }
        headers = {"Accept": JSON, "Accept-Encoding": "identity"}
        try:
            async with (
                asyncio.timeout(self._limits.seconds) as limit,
                self._client.stream(
                    "GET", path, params=parameters, headers=headers, timeout=Timeout(self._limits.seconds, read=None)
                ) as response,
            ):
                if not response.is_success:
                    raise await status_error(response)
                if not response.headers.get("Content-Type", "").startswith(JSON):
                    raise ApiServerUnavailable("the API server's response is not a watch stream")
                limit.reschedule(asyncio.get_running_loop().time() + 2 * self._limits.watch_seconds)
                # An interrupted watch counts as ended: some proxies close quiet connections.
                with suppress(HTTPError):
                    async for part in response.aiter_raw():
                        if b"\n" in part:
                            changed()
        except TimeoutError:
            raise ApiServerUnavailable("the API server does not start or end a watch") from None
        except CLIENT_ERRORS as error:
            raise unavailable(error) from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def connect() -> ApiServer:
    """Return the API server of this pod's cluster, or of KUBECONFIG.

    Raises:
        NoClusterConfigured: neither exists.

    """
    try:
        config = KubeConfig.from_env().get()
        assert config is not None  # noqa: S101 - with a default, there is always one
        return ApiServer(client_adapter.AsyncClient(config, client_adapter.ConnectionParams()))
    except ConfigError as error:
        raise NoClusterConfigured(f"no service account is mounted, and {error}") from None


async def read_body(response: Response, limit: int, *, compression: bool = False) -> bytes:
    """Return a response's body; see ApiServer.read."""
    if not compression and response.headers.get("Content-Encoding", "identity") != "identity":
        raise ApiServerUnavailable("the API server sent a compressed response to a request for an uncompressed one")
    received = bytearray()
    async for part in response.aiter_bytes() if compression else response.aiter_raw():
        received += part
        if len(received) > limit:
            raise ResponseTooLarge(f"the API server sent more than {limit // 1024} KiB")
    return bytes(received)


async def status_error(response: Response) -> ExpectedError:
    """Return the API server's error; a proxy, or an API server that is starting or stopping, returns something else."""
    try:
        status = msgspec.json.decode(await read_body(response, MAX_ERROR_BYTES), type=_Status)
    except (*DECODE_ERRORS, ApiServerUnavailable):
        return ApiServerUnavailable(f"the API server responded with {response.status_code} and no reason")
    if status.kind != "Status":
        return ApiServerUnavailable(f"the API server responded with {response.status_code} and an invalid Status")
    return StatusError(response.status_code, status.message, response_date(response))


def unavailable(error: Exception) -> ApiServerUnavailable:
    """Describe why the client got no response."""
    # A LocalProtocolError quotes the header that cannot be sent, which may be the token.
    is_safe = isinstance(error, HTTPError | OSError | ConfigError) and not isinstance(error, LocalProtocolError)
    words = str(error) if is_safe else ""
    return ApiServerUnavailable(f"the API server cannot be reached: {type(error).__name__}: {words}".removesuffix(": "))


def response_date(response: Response) -> datetime.datetime | None:
    """Return the time of a response, in whole seconds: https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1 ."""
    try:
        date = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
