"""The route for admission reviews, as plain ASGI, with its limits."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from time import perf_counter

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from webhook.core.decision import Policy
from webhook.core.images import Image, Unavailable
from webhook.core.reasons import Reason
from webhook.images.sources import ImageSources
from webhook.server import review as admission
from webhook.server.callers import Callers
from webhook.server.deadline import seconds_to_answer
from webhook.server.decision_cache import DecisionCache
from webhook.server.errors import JSON, error_response
from webhook.server.eviction_guard import EvictionGuard
from webhook.server.logs import LOGGER
from webhook.server.options import Limits
from webhook.server.review import EvictionRequest, Verdict
from webhook.server.telemetry import Telemetry

WHOLE_ANSWER = "graceful_worker.whole_answer"
"""The server extension that sends a response in one call."""
GIVEN_UP = "graceful_worker.given_up"
"""The server extension that tells why a body is no longer awaited: a Reason."""
_JSON = JSON.encode()
_ERRORS = {
    Reason.REVIEW_INVALID: HTTPStatus.BAD_REQUEST,
    Reason.REVIEW_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Reason.REVIEW_TOO_SLOW: HTTPStatus.REQUEST_TIMEOUT,
    Reason.REVIEW_SHED: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.REVIEW_NOT_JSON: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Reason.DEFECT: HTTPStatus.INTERNAL_SERVER_ERROR,
}
# The rest of such a body is not read, so the connection cannot be reused.
_UNREAD = frozenset({Reason.REVIEW_TOO_LARGE, Reason.REVIEW_TOO_SLOW, Reason.REVIEW_SHED, Reason.REVIEW_NOT_JSON})


class Rejected(Exception):  # an HTTP error for the client, not an internal error
    """The request gets no verdict; the reason determines the HTTP error."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.detail = detail


class Mutation:
    """Answers admission reviews."""

    def __init__(
        self,
        policy: Policy,
        limits: Limits,
        telemetry: Telemetry,
        images: ImageSources | None = None,
        callers: Callers | None = None,
        clock: Callable[[], float] = perf_counter,
        guard: EvictionGuard | None = None,
    ) -> None:
        self._policy = policy
        self._guard = guard or EvictionGuard(None)
        self._decisions = DecisionCache(policy)
        self._images = images
        self._images_for_anybody = images and images.for_anybody()
        self._callers = callers or Callers()
        self._limits = limits
        self._telemetry = telemetry
        self._clock = clock
        self._log = logging.getLogger(LOGGER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a review, or reject an invalid request."""
        begun = started = self._clock()
        try:
            body = await self._body(scope, receive)
            started = self._clock()
            request = self._read(body)
            if isinstance(request, EvictionRequest):
                verdict = await self._on_eviction(request, scope, begun + seconds_to_answer(scope["query_string"]))
            else:
                verdict = self._decisions.decide(request)
            if verdict.ask:
                images = self._images if self._callers.is_api_server(scope) else self._images_for_anybody
                until = begun + seconds_to_answer(scope["query_string"])
                verdict = await self._with_images(images, request, verdict, until)
            content = admission.answer(request, verdict)
            self._telemetry.record_review(request, verdict, self._clock() - started)
        except Rejected as rejected:
            await self._reject(rejected, started)(scope, receive, send)
            return
        except Exception:
            self._log.exception("internal error: a review gets no response")
            await self._reject(Rejected(Reason.DEFECT), started)(scope, receive, send)
            return
        # Removed because it references the request, which references it: otherwise, only a garbage collection frees
        # both.
        answer = scope.get("extensions", {}).pop(WHOLE_ANSWER, None)
        if answer is not None:
            await answer(content)
            return
        headers = [(b"content-length", b"%d" % len(content)), (b"content-type", _JSON)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _on_eviction(self, request: EvictionRequest, scope: Scope, until: float) -> Verdict:
        by_api_server = self._callers.is_api_server(scope)
        seconds = max(until - self._clock(), 0.0)
        decision = await self._guard.decide(request, seconds, by_api_server=by_api_server)
        self._telemetry.record_eviction(request, decision.verdict)
        return admission.review_eviction(request, decision)

    async def _with_images(
        self, sources: ImageSources | None, request: admission.Request, verdict: Verdict, until: float
    ) -> Verdict:
        """Look up what the verdict depends on, and review again; the result may require further lookups."""
        images: dict[str, Image | Unavailable] = {}
        while sources and verdict.ask:
            seconds = max(until - self._clock(), 0.0)
            images |= await sources.find(request.object, verdict.ask, request.namespace, seconds)
            verdict = admission.review(request, self._policy, images)
        return verdict

    def _read(self, body: bytes) -> admission.Request:
        try:
            return admission.read_review(body)
        except admission.InvalidReview as invalid:
            raise Rejected(Reason.REVIEW_INVALID, str(invalid)) from None

    def _reject(self, rejected: Rejected, started: float) -> Response:
        reason = rejected.reason
        self._telemetry.record_rejection(reason, self._clock() - started)
        headers = {"connection": "close"} if reason in _UNREAD else {}
        message = f"{reason.sentence} {rejected.detail}".rstrip()
        return error_response(_ERRORS[reason], reason.value, message, headers)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        headers = dict(scope["headers"])
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != _JSON:
            raise Rejected(Reason.REVIEW_NOT_JSON)
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._limits.body_bytes:
            raise self._too_large()
        pieces: list[bytes] = []
        size = 0
        while size <= self._limits.body_bytes:
            message = await receive()
            if message["type"] != "http.request":  # one of the two timeouts has expired
                raise Rejected(scope.get("extensions", {}).get(GIVEN_UP, Reason.REVIEW_TOO_SLOW))
            pieces.append(message["body"])
            size += len(message["body"])
            if not message["more_body"] and size <= self._limits.body_bytes:
                return b"".join(pieces)
        raise self._too_large()

    def _too_large(self) -> Rejected:
        return Rejected(Reason.REVIEW_TOO_LARGE, f"The limit is {self._limits.body_bytes} bytes.")
