"""Questions to the API server, and its answers, in bounded time and memory, whatever they are.

By the client below lightkube's own, which has lightkube's credentials: that one takes answers of any size, and raises
whatever comes up in reading them (KeyError for a 503 without a Content-Type).
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

from certs.repetition import Trouble

JsonObject: TypeAlias = dict[str, Any]

ANSWER_SECONDS = 10.0
"""For a whole answer: the client's own limits are for each part of it, and one that trickles never reaches them."""
WATCH_SECONDS = 300
"""After which the API server is asked to end a watch; twice that, and it is ended."""
MOST_BYTES = 4 * 1024 * 1024
"""Of an answer: etcd takes 1.5 MiB. https://etcd.io/docs/v3.6/dev-guide/limit/"""
MOST_ERROR_BYTES = 64 * 1024
JSON = "application/json"


class NoAnswer(Trouble):
    """The API server cannot be reached, or what has answered is none, or a sick one."""


class TooLarge(NoAnswer):
    """The answer is larger than what is read of one."""


class NoCluster(Trouble):
    """Nothing says where an API server is."""


class Refused(Trouble):
    """The API server says no: with an HTTP status, in its own words, which name no key, and at a time of its own."""

    def __init__(self, status: int, words: str, date: datetime.datetime | None) -> None:
        super().__init__(f"{words} ({status})")
        self.status = status
        self.date = date


@dataclass(frozen=True)
class Answer:
    """An object, and the API server's time when it answered; None where it does not say."""

    object: JsonObject
    date: datetime.datetime | None


class _Status(msgspec.Struct):
    kind: str
    message: str = ""


ERRORS = (HTTPError, InvalidURL, ConfigError, OSError, ValueError)
"""What the client raises: ValueError of what is written in an answer, or in the file of a token."""
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What is raised in reading what is no JSON, or is not of the shape that it is read as."""


class ApiServer:
    """Asks the API server."""

    def __init__(self, client: AsyncClient) -> None:
        """Take the client, which knows address and credentials."""
        self._client = client

    async def ask(
        self, method: str, path: str, kind: str, content: object = None, *, media_type: str = JSON, by: str = ""
    ) -> Answer:
        """Ask, and return the object of a kind that is answered; `by` is the field manager of a change.

        Raises:
            Refused: the API server says no.
            NoAnswer: there is no answer that makes sense, within the limits.

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
                    raise NoAnswer(f"the API server has answered with what is no {kind}")
                return Answer(found, _date(response.headers))
        except TimeoutError:
            raise NoAnswer(f"the API server has not answered within {ANSWER_SECONDS:g} s") from None
        except ERRORS as error:
            raise unreachable(error) from None

    async def watch(self, path: str, name: str, changed: Callable[[], None]) -> None:
        """Tell of changes of an object until the API server ends the watch; nothing of what it says is kept, or read.

        Raises:
            Refused: the API server says no.
            NoAnswer: there is no watch.

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
                    raise NoAnswer("the API server has answered with what is no watch")
                limit.reschedule(asyncio.get_running_loop().time() + 2 * WATCH_SECONDS)
                await _tell(response, changed)
        except TimeoutError:
            raise NoAnswer("the API server does not begin, or does not end, a watch") from None
        except ERRORS as error:
            raise unreachable(error) from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def connect() -> ApiServer:
    """Return the API server of the pod that this is, or of KUBECONFIG.

    Raises:
        NoCluster: there is neither.

    """
    try:
        config = KubeConfig.from_env().get()
        assert config is not None  # noqa: S101 - with a default, there is always one
        return ApiServer(client_adapter.AsyncClient(config, client_adapter.ConnectionParams()))
    except ConfigError as error:
        raise NoCluster(f"there is no service account here, and {error}") from None


async def _tell(response: Response, changed: Callable[[], None]) -> None:
    """Tell of each line. That a watch breaks off is its end: there are proxies that cut what is quiet."""
    try:
        async for part in response.aiter_raw():
            if b"\n" in part:
                changed()
    except HTTPError:
        return


async def body(response: Response, limit: int) -> bytes:
    """Return an answer's body.

    Raises:
        TooLarge: it is larger than that.
        NoAnswer: it is compressed.

    """
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise NoAnswer("the API server has sent compressed what was to be sent as it is")
    received = bytearray()
    async for part in response.aiter_raw():
        received += part
        if len(received) > limit:
            raise TooLarge(f"the API server has answered with more than {limit // 1024} KiB")
    return bytes(received)


def _read(body: bytes) -> JsonObject:
    try:
        return msgspec.json.decode(body, type=JsonObject)
    except UNREADABLE:
        raise NoAnswer("the API server has answered with what is no JSON object") from None


async def refusal(response: Response) -> Trouble:
    """Return what the API server says; a proxy before it, or one that starts or ends, says something else."""
    try:
        status = msgspec.json.decode(await body(response, MOST_ERROR_BYTES), type=_Status)
    except (*UNREADABLE, NoAnswer):
        return NoAnswer(f"the API server has answered {response.status_code}, and does not say why")
    if status.kind != "Status":
        return NoAnswer(f"the API server has answered {response.status_code} with what is no Status")
    return Refused(response.status_code, status.message, _date(response.headers))


def unreachable(error: Exception) -> NoAnswer:
    """Say why the client gets no answer."""
    words = str(error) if isinstance(error, HTTPError | OSError | ConfigError) else ""
    return NoAnswer(f"the API server cannot be asked: {type(error).__name__}: {words}".removesuffix(": "))


def _date(headers: Mapping[str, str]) -> datetime.datetime | None:
    """Return the time of an answer: https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1, in whole seconds."""
    try:
        date = parsedate_to_datetime(headers["Date"])
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
