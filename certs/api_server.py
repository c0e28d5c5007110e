"""Requests to the API server, with bounded time and memory, whatever it returns.

Uses the client underneath lightkube's own, with lightkube's credentials. lightkube's client accepts responses of any
size, and raises unexpected errors while reading them (KeyError for a 503 without a Content-Type).
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias

import msgspec
from httpx2 import AsyncClient, HTTPError, InvalidURL, Response, Timeout
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.exceptions import ConfigError

from certs.errors import ExpectedError

JsonObject: TypeAlias = dict[str, Any]

ANSWER_SECONDS = 10.0
"""Timeout for a whole response: the client's own timeouts apply to each part, so a trickling response never reaches
them."""
WATCH_SECONDS = 300
"""After this time, the API server is asked to end a watch; after twice this time, the watch is ended."""
MOST_BYTES = 4 * 1024 * 1024
"""Limit for a response: etcd stores at most 1.5 MiB. https://etcd.io/docs/v3.6/dev-guide/limit/"""
MOST_ERROR_BYTES = 64 * 1024
JSON = "application/json"


class NoAnswer(ExpectedError):
    """The API server cannot be reached, or its response is not valid."""


class TooLarge(NoAnswer):
    """The response exceeds the limit."""


class NoCluster(ExpectedError):
    """No API server is configured."""


class Refused(ExpectedError):
    """The API server refuses, with an HTTP status, a message that contains no keys, and the time."""

    def __init__(self, status: int, words: str, date: datetime.datetime | None) -> None:
        super().__init__(f"{words} ({status})")
        self.status = status
        self.date = date


@dataclass(frozen=True)
class Answer:
    """An object, and the API server's time of the response; None if unknown."""

    object: JsonObject
    date: datetime.datetime | None


class _Status(msgspec.Struct):
    kind: str
    message: str = ""


ERRORS = (HTTPError, InvalidURL, ConfigError, OSError, ValueError)
"""Errors of the client: ValueError comes from invalid responses or token files."""
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Errors from parsing something that is not JSON, or not of the expected shape."""


class ApiServer:
    """Sends requests to the API server."""

    def __init__(self, client: AsyncClient) -> None:
        """Take the client, which has the address and credentials."""
        self._client = client

    async def ask(
        self, method: str, path: str, kind: str, content: object = None, *, media_type: str = JSON, by: str = ""
    ) -> Answer:
        """Send a request, and return an object of a kind; `by` is the field manager of a change.

        Raises:
            Refused: the API server refuses.
            NoAnswer: there is no valid response within the limits.

        """
        headers = {"Accept": JSON, "Accept-Encoding": "identity"} | ({"Content-Type": media_type} if content else {})
        sent = msgspec.json.encode(content) if content else None
        parameters = {"fieldManager": by} if by else {}
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                self._client.stream(method, path, params=parameters, headers=headers, content=sent) as response,
            ):
                if not response.is_success:
                    raise await refusal(response)
                found = _read(await body(response, MOST_BYTES))
                if found.get("kind") != kind:
                    raise NoAnswer(f"the API server's response is not a {kind}")
                return Answer(found, _date(response.headers))
        except TimeoutError:
            raise NoAnswer(f"the API server did not respond within {ANSWER_SECONDS:g} s") from None
        except ERRORS as error:
            raise unreachable(error) from None

    async def watch(self, path: str, name: str, changed: Callable[[], None]) -> None:
        """Yield for each change of an object until the API server ends the watch; the events are not parsed.

        Raises:
            Refused: the API server refuses.
            NoAnswer: the watch cannot be started.

        """
        parameters = {"watch": "true", "fieldSelector": f"metadata.name={name}", "timeoutSeconds": str(WATCH_SECONDS)}
        headers = {"Accept": JSON, "Accept-Encoding": "identity"}
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS) as limit,
                self._client.stream(
                    "GET", path, params=parameters, headers=headers, timeout=Timeout(ANSWER_SECONDS, read=None)
                ) as response,
            ):
                if not response.is_success:
                    raise await refusal(response)
                if not response.headers.get("Content-Type", "").startswith(JSON):
                    raise NoAnswer("the API server's response is not a watch stream")
                limit.reschedule(asyncio.get_running_loop().time() + 2 * WATCH_SECONDS)
                await _tell(response, changed)
        except TimeoutError:
            raise NoAnswer("the API server does not start or end a watch") from None
        except ERRORS as error:
            raise unreachable(error) from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def connect() -> ApiServer:
    """Return the API server of this pod's cluster, or of KUBECONFIG.

    Raises:
        NoCluster: neither exists.

    """
    try:
        config = KubeConfig.from_env().get()
        assert config is not None  # noqa: S101 - with a default, there is always one
        return ApiServer(client_adapter.AsyncClient(config, client_adapter.ConnectionParams()))
    except ConfigError as error:
        raise NoCluster(f"no service account is mounted, and {error}") from None


async def _tell(response: Response, changed: Callable[[], None]) -> None:
    """Yield for each line. An interrupted watch counts as ended: some proxies close quiet connections."""
    try:
        async for part in response.aiter_raw():
            if b"\n" in part:
                changed()
    except HTTPError:
        return


async def body(response: Response, limit: int) -> bytes:
    """Return a response's body.

    Raises:
        TooLarge: it exceeds the limit.
        NoAnswer: it is compressed.

    """
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise NoAnswer("the API server sent a compressed response to a request for an uncompressed one")
    received = bytearray()
    async for part in response.aiter_raw():
        received += part
        if len(received) > limit:
            raise TooLarge(f"the API server sent more than {limit // 1024} KiB")
    return bytes(received)


def _read(body: bytes) -> JsonObject:
    try:
        return msgspec.json.decode(body, type=JsonObject)
    except UNREADABLE:
        raise NoAnswer("the API server's response is not a JSON object") from None


async def refusal(response: Response) -> ExpectedError:
    """Return the API server's error; a proxy, or an API server that is starting or stopping, returns something else."""
    try:
        status = msgspec.json.decode(await body(response, MOST_ERROR_BYTES), type=_Status)
    except (*UNREADABLE, NoAnswer):
        return NoAnswer(f"the API server responded with {response.status_code} and no reason")
    if status.kind != "Status":
        return NoAnswer(f"the API server responded with {response.status_code} and an invalid Status")
    return Refused(response.status_code, status.message, _date(response.headers))


def unreachable(error: Exception) -> NoAnswer:
    """Describe why the client got no response."""
    words = str(error) if isinstance(error, HTTPError | OSError | ConfigError) else ""
    return NoAnswer(f"the API server cannot be reached: {type(error).__name__}: {words}".removesuffix(": "))


def _date(headers: Mapping[str, str]) -> datetime.datetime | None:
    """Return the time of a response, in whole seconds.

    See https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1.
    """
    try:
        date = parsedate_to_datetime(headers["Date"])
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
