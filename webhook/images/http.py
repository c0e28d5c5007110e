"""HTTP requests with size limits; redirects never take credentials to another origin."""

from __future__ import annotations

import email.utils
import socket
import ssl
import time
from collections.abc import AsyncIterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import cast

import httpcore2
from httpx2 import URL, InvalidURL

from webhook.core.reasons import Reason
from webhook.images.egress import CheckedNetworkBackend, EgressPolicy, authority, host_of, is_same_origin, port_of
from webhook.images.errors import DnsTimeout, LookupFailed, TooManyDnsQueries, printable

AUTHORIZATION = "Authorization"
CHALLENGE = "www-authenticate"
_MAX_CONNECTIONS = 64
_MAX_IDLE_CONNECTIONS = 16
_IDLE_SECONDS = 30.0
_MAX_REDIRECTS = 5
_MAX_ERROR_BYTES = 16 * 1024
_MAX_CACHE_SECONDS = 300.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_TIMEOUTS = {"connect": 5.0, "read": 10.0, "write": 10.0, "pool": 30.0}
_DEFAULT_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "graceful-worker"}
# ValueError: the target of a redirect may not be valid for a socket or for TLS.
_NETWORK_ERRORS = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    httpcore2.UnsupportedProtocol,
    OSError,
    ValueError,
)
# The last value: whether a retry may succeed.
_DESCRIPTIONS: tuple[tuple[type[BaseException], str, bool], ...] = (
    (DnsTimeout, "DNS did not respond in time", False),
    (TooManyDnsQueries, "too many DNS queries without a response", False),
    (ConnectionRefusedError, "connection refused", True),
    (ConnectionResetError, "connection reset", True),
    (httpcore2.ConnectTimeout, "connection timed out", True),
    (httpcore2.PoolTimeout, "too many requests at once", True),
    (httpcore2.TimeoutException, "no response in time", True),
    (httpcore2.RemoteProtocolError, "the response is not HTTP, or incomplete", True),
    (httpcore2.LocalProtocolError, "the request cannot be sent by HTTP", False),
    (httpcore2.ReadError, "the connection was interrupted", True),
    (httpcore2.WriteError, "the connection was interrupted", True),
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request; `max_bytes` limits the body of the response."""

    method: str
    url: URL
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)
    max_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Response:
    """A response; the body of an error is left out. Names of headers are lower case."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    def header_values(self, name: str) -> list[str]:
        """Return all values of a header."""
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str:
        """Return the first value of a header; empty if there is none."""
        return next(iter(self.header_values(name)), "")

    def without_challenge(self) -> Response:
        """Return the response without its requests for credentials."""
        return replace(self, headers=tuple(header for header in self.headers if header[0] != CHALLENGE))

    @property
    def retry_after(self) -> float | None:
        """The header Retry-After in seconds; None if there is none.

        https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
        """
        text = self.header("retry-after").strip()
        if text.isdecimal():
            return float(text[:9])
        try:
            return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
        except (ValueError, OverflowError):
            return None


class HttpClient:
    """Sends requests over shared connections.

    The pool is used without httpx's client. Its network backend is a public parameter, whereas the client would need a
    private attribute, and a change there could silently disable the address checks. The client's features are not
    wanted, either: proxies from the environment, cookies, redirects, decompression.
    """

    def __init__(self, egress: EgressPolicy, ca_file: Path | None) -> None:
        """Open no connection yet.

        Raises:
            OSError: the CA file cannot be read, or contains no CA.

        """
        context = ssl.create_default_context()
        if ca_file:
            context.load_verify_locations(ca_file)
        self._egress = egress
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_IDLE_CONNECTIONS,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=CheckedNetworkBackend(egress),
        )

    async def send(self, request: Request) -> Response:
        """Send a request, and follow redirects, except for a request with a body.

        Raises:
            LookupFailed: there is no response, it is too large, or a host is not allowed.

        """
        url, headers = request.url, {**_DEFAULT_HEADERS, **request.headers}
        challenged = True
        for _ in range(_MAX_REDIRECTS + 1):
            self._egress.check_url(url)
            response = await self._send_to(url, request, headers)
            location = response.header("location")
            if response.status not in _REDIRECTS or not location or request.content:
                return response if challenged else response.without_challenge()
            target = _redirect_target(url, location)
            if not is_same_origin(url, target):
                headers.pop(AUTHORIZATION, None)
                # Otherwise, the other origin could name a token server that gets the credentials: CVE-2020-15157.
                challenged = False
            url = target
        raise _failed(url, f"redirects more than {_MAX_REDIRECTS} times")

    async def _send_to(self, url: URL, request: Request, headers: Mapping[str, str]) -> Response:
        host = host_of(url)
        port = "" if url.port is None else f":{url.port}"
        target = httpcore2.URL(scheme=url.scheme.encode(), host=host.encode(), port=port_of(url), target=url.raw_path)
        all_headers = {"Host": (f"[{host}]" if ":" in host else host) + port, **headers}
        try:
            async with self._pool.stream(
                request.method,
                target,
                headers=[(name.encode(), value.encode()) for name, value in all_headers.items()],
                content=request.content or None,
                extensions={"timeout": _TIMEOUTS},
            ) as stream:
                response = Response(
                    stream.status,
                    tuple((key.decode("latin-1").lower(), value.decode("latin-1")) for key, value in stream.headers),
                )
                if response.status != HTTPStatus.OK or request.method == "HEAD":
                    await _drain(stream)
                    return response
                return replace(response, body=await _read_body(stream, response, request.max_bytes, url))
        except _NETWORK_ERRORS as error:
            description, retryable = _describe(error)
            detail = f"{authority(url)}: {description}"
            raise LookupFailed(Reason.REGISTRY_FAILED, detail, retryable=retryable) from None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


async def _read_body(stream: httpcore2.Response, response: Response, max_bytes: int, url: URL) -> bytes:
    if response.header("content-encoding").lower() not in ("", "identity"):
        raise LookupFailed(
            Reason.IMAGE_INVALID, f"{authority(url)} sent a compressed response to a request for an uncompressed one"
        )
    length = response.header("content-length")
    too_long = LookupFailed(Reason.IMAGE_INVALID, f"{authority(url)} sent more than {max_bytes // 1024} KiB")
    if length.isdecimal() and (len(length) > 15 or int(length) > max_bytes):
        raise too_long
    body = bytearray()
    async for chunk in cast("AsyncIterable[bytes]", stream.aiter_stream()):
        body += chunk
        if len(body) > max_bytes:
            raise too_long
    return bytes(body)


async def _drain(stream: httpcore2.Response) -> None:
    """Read a short body so that the connection can be reused."""
    length = 0
    async for chunk in cast("AsyncIterable[bytes]", stream.aiter_stream()):
        length += len(chunk)
        if length > _MAX_ERROR_BYTES:
            return


def _redirect_target(url: URL, location: str) -> URL:
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


def check_status(response: Response, url: URL, resource: str, *, has_credential: bool) -> None:
    """Check that a response is successful; `resource` names what was requested.

    Raises:
        LookupFailed: it is not.

    """
    status = response.status
    if status == HTTPStatus.OK:
        return
    if status in _DENIED:
        advice = (
            "for the credentials in use: check imagePullSecrets"
            if has_credential
            else "without credentials: the image is private or missing; "
            "imagePullSecrets help if the webhook may read them (docs/images.md)"
        )
        raise LookupFailed(Reason.IMAGE_DENIED, f"{authority(url)} returned {status} {advice}")
    if status == HTTPStatus.NOT_FOUND:
        raise LookupFailed(Reason.IMAGE_NOT_FOUND, f"{authority(url)} does not have {resource}")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        seconds = response.retry_after
        retry = "" if seconds is None else f"; retry in {seconds:.0f} s"
        # With 0, the next pod would retry at once.
        cache_seconds = min(seconds, _MAX_CACHE_SECONDS) if seconds else None
        detail = f"{authority(url)} returned 429 (too many requests){retry}"
        raise LookupFailed(Reason.REGISTRY_FAILED, detail, cache_seconds)
    raise _failed(url, f"returned {status}")


def _failed(url: URL, text: str) -> LookupFailed:
    return LookupFailed(Reason.REGISTRY_FAILED, f"{authority(url)} {text}")


def _describe(error: BaseException) -> tuple[str, bool]:
    """Describe a network error by its causes, and tell whether a retry may succeed."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message} (--registry-ca)", False
        if isinstance(cause, ssl.SSLError):
            reason = printable(cause.reason or "interrupted")
            return f"TLS failed: {reason} (for plain HTTP, use --registry-plain-http)", False
        if isinstance(cause, socket.gaierror):
            retryable = cause.errno == socket.EAI_AGAIN
            return "its name cannot be resolved at the moment" if retryable else "its name is not found", retryable
    for error_type, description, retryable in _DESCRIPTIONS:
        if any(isinstance(cause, error_type) for cause in causes):
            return description, retryable
    text = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), "")
    return (printable(text), True) if text else (f"it cannot be reached: {type(error).__name__}", False)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        yield cause
        cause = cause.__cause__ or cause.__context__
