"""Lists and watches pods without end: through dropped connections, expired versions and restarts of the API server.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeAlias, TypedDict

import msgspec
from httpx2 import AsyncClient, HTTPError, InvalidURL, Response, Timeout
from lightkube.core.exceptions import ConfigError

from webhook.core.pod import JsonObject
from webhook.inspection.connection import CannotAsk

PAGE = 500
"""Pods of an answer, as kubectl asks for them."""
WATCH_SECONDS = 240, 300
"""How long a watch lasts: not all watchers are to come back at once."""
SILENCE = Timeout(30, connect=10, read=90)
"""Seconds. An API server sends a bookmark each minute; where none comes, the connection is dead, and nobody said so."""
STEADY = 10.0
"""Seconds after which a watch has worked, and trouble begins anew."""
LONGEST_PAUSE = 10.0
REFUSALS = 6
"""Refusals in a row that are believed: an API server that has just started may not know yet who may do what."""
_GONE, _UNAUTHORIZED, _FORBIDDEN = 410, 401, 403


class Listed(msgspec.Struct, frozen=True):
    """All pods that there are: at the beginning, and after each gap."""

    pods: list[JsonObject]


class Seen(msgspec.Struct, frozen=True):
    """A pod as it is now."""

    pod: JsonObject


class Gone(msgspec.Struct, frozen=True):
    """The last state of a pod whose object goes."""

    pod: JsonObject


Change: TypeAlias = Listed | Seen | Gone


# Of a pod only what is read of it: decoded in whole, it takes 17 times the memory.
class _Metadata(TypedDict, total=False):
    name: str
    namespace: str
    uid: str
    labels: Any
    annotations: Any
    ownerReferences: Any
    deletionTimestamp: Any
    deletionGracePeriodSeconds: Any
    resourceVersion: str


class _Spec(TypedDict, total=False):
    nodeName: Any
    terminationGracePeriodSeconds: Any


class _Status(TypedDict, total=False):
    conditions: Any
    initContainerStatuses: Any
    containerStatuses: Any


class _Pod(TypedDict, total=False):
    metadata: _Metadata
    spec: _Spec
    status: _Status


class _ListMetadata(msgspec.Struct):
    version: str = msgspec.field(default="", name="resourceVersion")
    rest: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _ListMetadata
    items: list[_Pod] | None = None


class _Event(msgspec.Struct):
    kind: str = msgspec.field(name="type")
    object: msgspec.Raw


class _Failure(msgspec.Struct):
    """An event of type ERROR has a Status."""

    code: int = 0


class _Version(msgspec.Struct):
    metadata: _ListMetadata


class _Refused(Exception):
    """The right is missing, or the API server does not know who asks."""


class _Trouble(Exception):
    """The API server has not answered as it ought to."""


_TROUBLES = (_Trouble, _Refused, HTTPError, InvalidURL, ConfigError, OSError, msgspec.DecodeError)


async def follow(
    api_client: AsyncClient, label_selector: str, field_selector: str = "", namespace: str = ""
) -> AsyncGenerator[Change]:
    """Yield what is seen of pods, for ever.

    Raises:
        CannotAsk: the first list fails, or a right is missing.

    """
    pods = _Pods(api_client, label_selector, field_selector, namespace)
    clock = asyncio.get_running_loop().time
    has_listed, failures = False, 0
    while True:
        began = clock()
        try:
            async for change in pods.changes():
                has_listed = True
                yield change
        except _TROUBLES as trouble:
            is_believed = isinstance(trouble, _Refused) and (not pods.has_watched or failures >= REFUSALS)
            if is_believed or not has_listed:
                raise CannotAsk(_words(trouble)) from None
        failures = 0 if clock() - began > STEADY else failures + 1
        await asyncio.sleep(_pause(failures))


def _pause(failures: int) -> float:
    return min(LONGEST_PAUSE, 0.25 * 2.0**failures) * random.uniform(0.5, 1)  # noqa: S311 - it is no secret


def _words(trouble: Exception) -> str:
    if isinstance(trouble, _Refused):
        return str(trouble)
    if isinstance(trouble, msgspec.DecodeError):
        return "what answers is no API server of Kubernetes"
    return f"the API server cannot be asked: {str(trouble) or type(trouble).__name__}"


class _Pods:
    """Lists pods where it does not know from which version on to watch; then watches them."""

    def __init__(self, client: AsyncClient, labels: str, fields: str, namespace: str) -> None:
        self._client = client
        self._path = f"api/v1/namespaces/{namespace}/pods" if namespace else "api/v1/pods"
        self._where = f"in namespace {namespace}" if namespace else "in all namespaces"
        self._selectors = {"labelSelector": labels} | ({"fieldSelector": fields} if fields else {})
        self._version = ""
        self.has_watched = False

    async def changes(self) -> AsyncIterator[Change]:
        if not self._version:
            pods, self._version = await self._list()
            yield Listed(pods)
        seconds = str(random.randint(*WATCH_SECONDS))  # noqa: S311 - it is no secret
        parameters = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": seconds}
        parameters |= {**self._selectors, "resourceVersion": self._version}
        async with self._client.stream("GET", self._path, params=parameters, timeout=SILENCE) as response:
            if self._is_expired(response.status_code):
                return
            self._check(response, "watch")
            self.has_watched = True
            async for line in _lines(response):
                event = msgspec.json.decode(line, type=_Event)
                if event.kind == "ERROR":
                    self._fail(msgspec.json.decode(event.object, type=_Failure).code)
                    return
                if event.kind != "BOOKMARK":
                    pod: Any = msgspec.json.decode(event.object, type=_Pod)
                    yield Gone(pod) if event.kind == "DELETED" else Seen(pod)
                # Only now: what nobody has taken yet is seen once more.
                self._version = msgspec.json.decode(event.object, type=_Version).metadata.version

    async def _list(self) -> tuple[list[JsonObject], str]:
        pods: list[Any] = []
        parameters = {"limit": str(PAGE), **self._selectors}
        while True:
            response = await self._client.get(self._path, params=parameters)
            self._check(response, "list")
            page = msgspec.json.decode(response.content, type=_Page)
            pods += page.items or ()
            if not page.metadata.rest:
                return pods, page.metadata.version
            parameters["continue"] = page.metadata.rest

    def _check(self, response: Response, verb: str) -> None:
        if response.status_code == _UNAUTHORIZED:
            raise _Refused("the API server does not know you: the credentials are missing, wrong or expired")
        if response.status_code == _FORBIDDEN:
            raise _Refused(f"you may not {verb} pods {self._where}")
        if response.status_code != 200:
            raise _Trouble(f"it answers {response.status_code}")

    def _fail(self, code: int) -> None:
        if not self._is_expired(code):
            raise _Trouble(f"a watch ends with {code}")

    def _is_expired(self, code: int) -> bool:
        """Forget a version that the API server knows no more; all pods are listed anew then."""
        if code == _GONE:
            self._version = ""
        return code == _GONE


async def _lines(response: Response) -> AsyncIterator[bytes]:
    """Split at line feeds alone: JSON may have other characters that end lines in Unicode."""
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
