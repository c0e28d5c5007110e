"""The FastAPI application: routes, limits, and the record of every review in log and metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from certs.events import Events
from webhook.core.decision import Policy
from webhook.core.reasons import Reason
from webhook.server import review as admission
from webhook.server.logs import FIELDS, LOGGER, clip
from webhook.server.metrics import CONTENT_TYPE, Metrics
from webhook.server.options import Limits

JSON = "application/json"
_ERRORS = {
    Reason.REVIEW_INVALID: HTTPStatus.BAD_REQUEST,
    Reason.REVIEW_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Reason.REVIEW_TOO_SLOW: HTTPStatus.REQUEST_TIMEOUT,
    Reason.REVIEW_NOT_JSON: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Reason.DEFECT: HTTPStatus.INTERNAL_SERVER_ERROR,
}
# The rest of such a body is not read, so the connection cannot be used again.
_UNREAD = frozenset({Reason.REVIEW_TOO_LARGE, Reason.REVIEW_TOO_SLOW, Reason.REVIEW_NOT_JSON})


@dataclass(slots=True)
class Readiness:
    """Whether the server takes new requests: not while it drains, nor without a certificate that is accepted."""

    draining: bool = field(default=False)
    certificate_is_accepted: Callable[[], bool] = field(default=lambda: True)


class Rejected(Exception):  # an HTTP error for the client, not a defect
    """The request gets no verdict; the reason says which HTTP error it gets."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.detail = detail


def create_application(
    policy: Policy,
    limits: Limits | None = None,
    readiness: Readiness | None = None,
    clock: Callable[[], float] = perf_counter,
    events: Events | None = None,
) -> FastAPI:
    """Build the application; `clock` counts seconds, `events` are those of the certificates."""
    application = FastAPI(title="graceful-worker", openapi_url=None, redirect_slashes=False)
    metrics = Metrics(events or Events())
    mutation = Mutation(policy, limits or Limits(), metrics, clock)
    ready = readiness or Readiness()
    application.add_api_route("/mutate", mutation.mutate, methods=["POST"], response_model=None)

    @application.get("/healthz")
    async def healthz() -> Response:
        return Response(b'{"status":"ok"}', media_type=JSON)

    @application.get("/readyz")
    async def readyz() -> Response:
        if ready.draining:
            return Response(b'{"status":"draining"}', HTTPStatus.SERVICE_UNAVAILABLE, media_type=JSON)
        if not ready.certificate_is_accepted():
            return Response(b'{"status":"no certificate"}', HTTPStatus.SERVICE_UNAVAILABLE, media_type=JSON)
        return Response(b'{"status":"ok"}', media_type=JSON)

    @application.get("/metrics")
    async def expose_metrics() -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE)

    @application.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        return _error_response(error.status_code, "http", str(error.detail), dict(error.headers or {}))

    return application


class Mutation:
    """Answers admission reviews."""

    def __init__(self, policy: Policy, limits: Limits, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._log = logging.getLogger(LOGGER)

    async def mutate(self, request: Request) -> Response:
        """Answer one review, or reject what is none."""
        started = self._clock()
        try:
            body = await self._body(request)
            started = self._clock()
            return self._review(body, started)
        except Rejected as rejected:
            return self._reject(rejected, started)
        except Exception:
            self._log.exception("a defect: this review gets no answer")
            return self._reject(Rejected(Reason.DEFECT), started)

    def _review(self, body: bytes, started: float) -> Response:
        try:
            request = admission.read_review(body)
        except admission.InvalidReview as invalid:
            raise Rejected(Reason.REVIEW_INVALID, str(invalid)) from None
        injection = admission.review(request, self._policy)
        content = admission.answer(request, injection)
        decision = injection.decision
        seconds = self._clock() - started
        self._metrics.observe(decision.outcome, decision.reason, dry_run=request.dry_run, seconds=seconds)
        fields = {
            "uid": clip(request.uid),
            "namespace": clip(request.namespace),
            "generateName": clip(request.pod_name),
            "outcome": decision.outcome.value,
            "reason": decision.reason.value,
            "dryRun": request.dry_run,
            "ms": round(seconds * 1000, 3),
        }
        self._log.info("review", extra={FIELDS: fields})
        return Response(content, media_type=JSON)

    def _reject(self, rejected: Rejected, started: float) -> Response:
        reason = rejected.reason
        seconds = self._clock() - started
        self._metrics.observe(reason.kind, reason, dry_run=False, seconds=seconds)
        fields = {"outcome": reason.kind.value, "reason": reason.value, "ms": round(seconds * 1000, 3)}
        self._log.warning("rejected", extra={FIELDS: fields})
        headers = {"connection": "close"} if reason in _UNREAD else {}
        message = f"{reason.sentence} {rejected.detail}".rstrip()
        return _error_response(_ERRORS[reason], reason.value, message, headers)

    async def _body(self, request: Request) -> bytes:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise Rejected(Reason.REVIEW_NOT_JSON)
        announced = request.headers.get("content-length", "")
        too_large = Rejected(Reason.REVIEW_TOO_LARGE, f"The limit is {self._limits.body_bytes} bytes.")
        if announced.isdecimal() and int(announced) > self._limits.body_bytes:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self._limits.body_bytes:
                        raise too_large
        except (TimeoutError, ClientDisconnect):  # the patience of one of the two is over
            raise Rejected(Reason.REVIEW_TOO_SLOW) from None
        return bytes(body)


def error_content(code: str, message: str) -> bytes:
    """Write the body of an error."""
    return msgspec.json.encode({"error": {"code": code, "message": message}})


def _error_response(status: int, code: str, message: str, headers: dict[str, str]) -> Response:
    return Response(error_content(code, message), status, headers, media_type=JSON)
