"""The FastAPI application: the routes for the API server, the kubelet and Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from certs.metrics import CertificateMetrics
from webhook.core.policy import Policy
from webhook.images.sources import ImageSources
from webhook.server.authentication import PUBLIC_PATHS, Authenticator, is_review_path
from webhook.server.errors import JSON, error_response
from webhook.server.eviction_guard import EvictionGuard
from webhook.server.load_shedding import LoadShedder
from webhook.server.metrics import CONTENT_TYPE, Metrics
from webhook.server.options import Limits
from webhook.server.review_handler import ReviewHandler
from webhook.server.telemetry import Telemetry


@dataclass(slots=True)
class Readiness:
    """Whether the server is ready: not while it drains, nor without an accepted certificate."""

    draining: bool = False
    certificate_is_accepted: Callable[[], bool] = lambda: True


class Webhook(FastAPI):
    """The application; review requests bypass FastAPI's layers."""

    def __init__(self, reviews: ReviewHandler, telemetry: Telemetry) -> None:
        super().__init__(title="graceful-worker", openapi_url=None, redirect_slashes=False)
        self._reviews = reviews
        self.telemetry = telemetry
        self.router.routes.extend(Route(path, reviews, methods=["POST"]) for path in PUBLIC_PATHS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; FastAPI's layers take 26 µs, a quarter of the time of a review without them."""
        if scope["type"] == "http" and scope["method"] == "POST" and is_review_path(scope["path"]):
            await self._reviews(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_application(
    policy: Policy,
    limits: Limits | None = None,
    readiness: Readiness | None = None,
    certificate_metrics: CertificateMetrics | None = None,
    images: ImageSources | None = None,
    authenticator: Authenticator | None = None,
    shedder: LoadShedder | None = None,
    guard: EvictionGuard | None = None,
) -> Webhook:
    """Build the application; `certificate_metrics` says how the certificates are.

    Without `authenticator`, no caller counts as the API server.
    """
    certificates = certificate_metrics or CertificateMetrics()
    metrics = Metrics(certificates, shedder)
    telemetry = Telemetry(metrics)
    reviews = ReviewHandler(policy, limits or Limits(), telemetry, images, authenticator, guard)
    application = Webhook(reviews, telemetry)
    ready = readiness or Readiness()

    @application.get("/healthz")
    async def healthz() -> Response:
        if not certificates.is_managed:
            # The certificate would eventually expire; restarting the container is better.
            body = b'{"status":"certificate management has stopped"}'
            return Response(body, HTTPStatus.SERVICE_UNAVAILABLE, media_type=JSON)
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
        telemetry.flush()
        return Response(metrics.exposition(), media_type=CONTENT_TYPE)

    @application.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        return error_response(error.status_code, "http", str(error.detail), dict(error.headers or {}))

    return application
