"""Handles admission reviews over HTTP, as plain ASGI, within the limits on size and time."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from http import HTTPStatus
from time import perf_counter

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from webhook.core.image_config import Image, Unavailable
from webhook.core.policy import Policy
from webhook.core.reasons import Reason
from webhook.images.sources import ImageSources
from webhook.server.admission_review import (
    EvictionRequest,
    Request,
    Verdict,
    encode_response,
    read_review,
    review,
    review_eviction,
)
from webhook.server.authentication import Authenticator
from webhook.server.decision_cache import DecisionCache, cache_key
from webhook.server.errors import JSON, RequestRejected, error_response
from webhook.server.eviction_guard import EvictionGuard
from webhook.server.json_log import LOGGER
from webhook.server.options import Limits
from webhook.server.telemetry import Telemetry

SEND_RESPONSE = "graceful_worker.send_response"
"""The server extension that sends a response in one call."""
ABORT_REASON = "graceful_worker.abort_reason"
"""The server extension that tells why the server has stopped waiting for a body: a Reason."""
RELEASE_BODY = "graceful_worker.release_body"
"""The server extension to call when the body is no longer needed, but the response will take a while."""
LARGEST_WAITING = 64 * 1024
"""Maximum size of a pod that waits for image lookups, in bytes: dozens of large ones would fill the memory."""
_TOO_LARGE_TO_WAIT = Unavailable(Reason.IMAGE_LIMIT, "put `command` in the manifest")
DEFAULT_TIMEOUT = 10.0
"""Kubernetes' default for a configuration without timeoutSeconds."""
_MARGIN = 0.1
_MIN_MARGIN = 0.5
"""A share of the timeout, and a minimum in seconds: for the way back, and for other requests in progress."""
# A duration in Go's format; timeoutSeconds are whole seconds from 1 to 30.
# https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#timeouts
_TIMEOUT = re.compile(rb"(?:^|&)timeout=(\d{1,6}(?:\.\d{1,9})?)(ms|s|m)(?:&|$)")
_SECONDS_IN = {b"ms": 0.001, b"s": 1.0, b"m": 60.0}
_JSON = JSON.encode()
_HTTP_STATUSES = {
    Reason.REVIEW_INVALID: HTTPStatus.BAD_REQUEST,
    Reason.REVIEW_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Reason.REVIEW_TOO_SLOW: HTTPStatus.REQUEST_TIMEOUT,
    Reason.REVIEW_SHED: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.REVIEW_NOT_JSON: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Reason.DEFECT: HTTPStatus.INTERNAL_SERVER_ERROR,
}
# The rest of such a body is not read, so the connection cannot be reused.
_CLOSING = frozenset({Reason.REVIEW_TOO_LARGE, Reason.REVIEW_TOO_SLOW, Reason.REVIEW_SHED, Reason.REVIEW_NOT_JSON})


class ReviewHandler:
    """The route for admission reviews."""

    def __init__(
        self,
        policy: Policy,
        limits: Limits,
        telemetry: Telemetry,
        images: ImageSources | None = None,
        authenticator: Authenticator | None = None,
        guard: EvictionGuard | None = None,
    ) -> None:
        self._policy = policy
        self._guard = guard or EvictionGuard(None)
        self._decisions = DecisionCache(policy)
        self._images = images
        self._public_images = images and images.without_registry()
        self._authenticator = authenticator or Authenticator()
        self._limits = limits
        self._telemetry = telemetry
        self._log = logging.getLogger(LOGGER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a review, or reject an invalid request."""
        received = started = perf_counter()
        # Removed from the scope, as below: it references the connection, which references it.
        release_body = scope.get("extensions", {}).pop(RELEASE_BODY, lambda: None)
        try:
            body = await self._read_body(scope, receive)
            started = perf_counter()
            request = read_review(body)
            del body
            verdict = await self._review(request, scope, received, release_body)
            content = encode_response(request, verdict)
            self._telemetry.record_review(request, verdict, perf_counter() - started)
        except RequestRejected as rejected:
            await self._error_response(rejected, started)(scope, receive, send)
            return
        except Exception:
            self._log.exception("internal error: a review gets no response")
            await self._error_response(RequestRejected(Reason.DEFECT), started)(scope, receive, send)
            return
        # Removed because it references the request, which references it: otherwise, only a garbage collection frees
        # both.
        send_response = scope.get("extensions", {}).pop(SEND_RESPONSE, None)
        if send_response is not None:
            await send_response(content)
            return
        headers = [(b"content-length", b"%d" % len(content)), (b"content-type", _JSON)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _review(
        self, request: Request, scope: Scope, received: float, release_body: Callable[[], None]
    ) -> Verdict:
        if not isinstance(request, EvictionRequest):
            verdict = self._decisions.decide(request)
            if not verdict.ask:
                return verdict
        # From here on, others may be slow, and what waits must not keep new reviews out.
        release_body()
        by_api_server = self._authenticator.is_api_server(scope)
        deadline = received + seconds_to_respond(scope["query_string"])
        if isinstance(request, EvictionRequest):
            decision = await self._guard.decide(request, self._until(deadline), by_api_server=by_api_server)
            self._telemetry.record_eviction(request, decision.verdict)
            return review_eviction(request, decision)
        sources = self._images if by_api_server else self._public_images
        if sources and len(cache_key(request.object)) > LARGEST_WAITING:
            return review(request, self._policy, dict.fromkeys(verdict.ask, _TOO_LARGE_TO_WAIT))
        images: dict[str, Image | Unavailable] = {}
        # Look up what the verdict depends on, and review again; the result may require further lookups.
        while sources and verdict.ask:
            images |= await sources.find(request.object, verdict.ask, request.namespace, self._until(deadline))
            verdict = review(request, self._policy, images)
        return verdict

    def _until(self, deadline: float) -> float:
        return max(deadline - perf_counter(), 0.0)

    def _error_response(self, rejected: RequestRejected, started: float) -> Response:
        reason = rejected.reason
        self._telemetry.record_rejection(reason, perf_counter() - started)
        headers = {"connection": "close"} if reason in _CLOSING else {}
        message = f"{reason.sentence} {rejected.detail}".rstrip()
        return error_response(_HTTP_STATUSES[reason], reason.value, message, headers)

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes:
        headers = dict(scope["headers"])
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != _JSON:
            raise RequestRejected(Reason.REVIEW_NOT_JSON)
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._limits.body_bytes:
            raise self._too_large()
        pieces: list[bytes] = []
        size = 0
        while size <= self._limits.body_bytes:
            message = await receive()
            if message["type"] != "http.request":  # one of the two timeouts has expired
                raise RequestRejected(scope.get("extensions", {}).get(ABORT_REASON, Reason.REVIEW_TOO_SLOW))
            pieces.append(message["body"])
            size += len(message["body"])
            if not message["more_body"] and size <= self._limits.body_bytes:
                return b"".join(pieces)
        raise self._too_large()

    def _too_large(self) -> RequestRejected:
        return RequestRejected(Reason.REVIEW_TOO_LARGE, f"The limit is {self._limits.body_bytes} bytes.")


def seconds_to_respond(query: bytes) -> float:
    """Return how many seconds after the start of a request its response is due, given the API server's timeout."""
    match = _TIMEOUT.search(query)
    timeout = float(match[1]) * _SECONDS_IN[match[2]] if match else DEFAULT_TIMEOUT
    return max(timeout - max(timeout * _MARGIN, _MIN_MARGIN), 0.0)
