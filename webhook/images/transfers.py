"""HTTP requests with size limits; redirects never take credentials to another origin."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

import httpcore2
from httpx2 import URL, InvalidURL

from webhook.core.reasons import Reason
from webhook.images.egress import Egress, authority, host_of, is_same_origin, port_of
from webhook.images.errors import LookupFailed
from webhook.images.troubles import in_words

AUTHORIZATION = "Authorization"
_MOST_REDIRECTS = 5
_LONGEST_ERROR = 16 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TIMEOUTS = {"connect": 5.0, "read": 10.0, "write": 10.0, "pool": 30.0}
_ALWAYS = {"Accept-Encoding": "identity", "User-Agent": "graceful-worker"}


@dataclass(frozen=True, slots=True)
class Question:
    """A request; `limit` is the maximum size of the response in bytes."""

    method: str
    url: URL
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; the body of an error is left out."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    def all(self, name: str) -> list[str]:
        """Return the values of a header; its name is lower case."""
        return [value for key, value in self.headers if key == name]

    def first(self, name: str) -> str:
        """Return the first value of a header; its name is lower case."""
        return next(iter(self.all(name)), "")


class Transfers:
    """Sends requests over shared connections."""

    def __init__(self, pool: httpcore2.AsyncConnectionPool, egress: Egress) -> None:
        self._pool = pool
        self._egress = egress

    async def ask(self, question: Question) -> Answer:
        """Send a request, and follow redirects, except for a request with a body.

        Raises:
            LookupFailed: there is no response, it is too large, or a host is not allowed.

        """
        url, headers = question.url, {**_ALWAYS, **question.headers}
        for _ in range(_MOST_REDIRECTS + 1):
            self._egress.check(url)
            answer = await self._ask(question, url, headers)
            location = answer.first("location")
            if answer.status not in _REDIRECTS or not location or question.content:
                return answer
            target = _target(url, location)
            if not is_same_origin(url, target):
                headers.pop(AUTHORIZATION, None)
            url = target
        raise _failed(url, f"redirects more than {_MOST_REDIRECTS} times")

    async def _ask(self, question: Question, url: URL, headers: Mapping[str, str]) -> Answer:
        host = host_of(url)
        port = "" if url.port is None else f":{url.port}"
        target = httpcore2.URL(scheme=url.scheme.encode(), host=host.encode(), port=port_of(url), target=url.raw_path)
        named = {"Host": (f"[{host}]" if ":" in host else host) + port, **headers}
        try:
            async with self._pool.stream(
                question.method,
                target,
                headers=[(name.encode(), value.encode()) for name, value in named.items()],
                content=question.content or None,
                extensions={"timeout": _TIMEOUTS},
            ) as response:
                answer = Answer(
                    response.status,
                    tuple((key.decode("latin-1").lower(), value.decode("latin-1")) for key, value in response.headers),
                )
                if answer.status != HTTPStatus.OK or question.method == "HEAD":
                    await _drain(response)
                    return answer
                return Answer(answer.status, answer.headers, await _body(response, answer, question.limit, url))
        except _TROUBLES as error:
            words, passes = in_words(error)
            raise LookupFailed(Reason.REGISTRY_FAILED, f"{authority(url)}: {words}", retryable=passes) from None


# ValueError: the target of a redirect may not be valid for a socket or for TLS.
_TROUBLES = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    httpcore2.UnsupportedProtocol,
    OSError,
    ValueError,
)


async def _body(response: httpcore2.Response, answer: Answer, limit: int, url: URL) -> bytes:
    if answer.first("content-encoding").lower() not in ("", "identity"):
        raise LookupFailed(
            Reason.IMAGE_INVALID, f"{authority(url)} sent a compressed response to a request for an uncompressed one"
        )
    length = answer.first("content-length")
    too_long = LookupFailed(Reason.IMAGE_INVALID, f"{authority(url)} sent more than {limit // 1024} KiB")
    if length.isdecimal() and (len(length) > 15 or int(length) > limit):
        raise too_long
    body = bytearray()
    async for part in cast("AsyncIterable[bytes]", response.aiter_stream()):
        body += part
        if len(body) > limit:
            raise too_long
    return bytes(body)


async def _drain(response: httpcore2.Response) -> None:
    """Read a short body so that the connection can be reused."""
    length = 0
    async for part in cast("AsyncIterable[bytes]", response.aiter_stream()):
        length += len(part)
        if length > _LONGEST_ERROR:
            return


def _target(url: URL, location: str) -> URL:
    """Return the target of a redirect.

    Raises:
        LookupFailed: it is not valid, or leaves TLS.

    """
    try:
        target = url.join(location)
    except (InvalidURL, ValueError):
        raise _failed(url, "redirects to an invalid URL") from None
    if url.scheme == "https" and target.scheme != "https":
        raise _failed(url, "redirects away from TLS")
    return target


def _failed(url: URL, words: str) -> LookupFailed:
    return LookupFailed(Reason.REGISTRY_FAILED, f"{authority(url)} {words}")
