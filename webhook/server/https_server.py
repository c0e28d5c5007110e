"""The HTTPS server: uvicorn with timeouts for slow clients, and a drain before it stops."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ssl import SSLContext
from types import FrameType
from typing import cast

import uvicorn
import uvloop

from certs.metrics import CertificateMetrics
from webhook.core.policy import Policy
from webhook.images.sources import make_sources
from webhook.server.application import Readiness, create_application
from webhook.server.authentication import Authenticator, TrustAnyClient
from webhook.server.certificates import CertificateSource, make_certificate, supervise
from webhook.server.eviction_guard import make_guard
from webhook.server.http_protocol import HttpProtocol, make_protocol_class
from webhook.server.json_log import LOG_WRITER, configure_logs
from webhook.server.listener import Listener, bind
from webhook.server.load_shedding import LoadShedder
from webhook.server.memory import allocate_buffers_separately
from webhook.server.options import Cluster, Files, ServerOptions

LOG_FLUSH_SECONDS = 2.0
"""How long the process waits for a reader of its log before it exits."""


class TlsTimeoutLoop(uvloop.Loop):
    """An event loop whose server drops clients that stall during TLS handshake or shutdown.

    The defaults are 60 s and 30 s; the latter lets an unresponsive client delay the exit. Also, uvloop's own server
    cannot drop a connection before its handshake is complete.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        *,
        host: str,
        port: int,
        ssl: SSLContext,
        backlog: int,
    ) -> asyncio.AbstractServer:
        """Create the server for uvicorn."""
        # uvicorn: passes exactly these arguments, and uses `sockets`, `close` and `wait_closed` of the result.
        listener = Listener(bind(host, port, backlog), protocol_factory, ssl, self._seconds)
        return cast(asyncio.AbstractServer, listener)


class DrainingServer(uvicorn.Server):
    """On SIGTERM, keeps serving for a while, not ready and without keep-alive, then finishes requests in flight.

    Endpoints change more slowly than signals arrive: connections opened during the drain are served, too.
    """

    def __init__(self, config: uvicorn.Config, readiness: Readiness, drain_seconds: float) -> None:
        super().__init__(config)
        self._readiness = readiness
        self._drain_seconds = drain_seconds
        self._deadline: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start the drain; a second signal, or a keyboard interrupt, ends it."""
        # uvicorn: is called for SIGINT and SIGTERM. Its own one would raise the signal again at the end.
        if self.should_exit:
            self.force_exit = True
        elif sig == signal.SIGINT or self._readiness.draining:
            self.should_exit = True
        self._readiness.draining = True

    async def on_tick(self, counter: int) -> bool:
        """Tell whether the drain is over."""
        # uvicorn: is called every 0.1 s; the server stops once this returns True, which `should_exit` causes.
        now = asyncio.get_running_loop().time()
        if self._readiness.draining:
            if self._deadline is None:
                self._deadline = now + self._drain_seconds
                # Also close connections after responses to requests received before the drain.
                # uvicorn: the protocols of the open connections.
                for connection in self.server_state.connections:
                    if isinstance(connection, HttpProtocol):
                        connection.disable_keep_alive()
            if now >= self._deadline:
                self.should_exit = True
        return await super().on_tick(counter)


def serve(policy: Policy, options: ServerOptions) -> None:
    """Serve until a signal stops it.

    Raises:
        Unusable: the certificate cannot be used.

    """
    configure_logs(options.log_level)
    allocate_buffers_separately()
    try:
        with asyncio.Runner(loop_factory=partial(TlsTimeoutLoop, options.head_seconds)) as runner:
            runner.run(_serve(policy, options))
    finally:
        LOG_WRITER.drain(LOG_FLUSH_SECONDS)


def _authenticator(tls: Files | Cluster, source: CertificateSource) -> Authenticator:
    if isinstance(tls, Cluster):
        return Authenticator(lambda: source.paths)
    if tls.client_ca:
        return Authenticator(names=frozenset(tls.client_names))
    return TrustAnyClient()


async def _serve(policy: Policy, options: ServerOptions) -> None:
    certificate_metrics = CertificateMetrics()
    served, source = await make_certificate(options.tls, certificate_metrics)
    readiness = Readiness(certificate_is_accepted=lambda: source.is_ready)
    shedder = LoadShedder(options.limits.connections, options.limits.held_bytes)
    images = make_sources(options.images)
    guard = make_guard(options.guard_off_reason, options.eviction_limit)
    application = create_application(
        policy,
        options.limits,
        readiness,
        certificate_metrics=certificate_metrics,
        images=images,
        authenticator=_authenticator(options.tls, source),
        shedder=shedder,
        guard=guard,
    )
    config = uvicorn.Config(
        application,
        host=options.host,
        port=options.port,
        ssl_context_factory=lambda *_: served.context,
        http=make_protocol_class(options, readiness, shedder),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=2048,
        timeout_keep_alive=options.idle_seconds,
        timeout_graceful_shutdown=options.finish_seconds,
    )
    # Objects that exist now live as long as the process. Scanning them in every full collection would delay a response
    # by several ms.
    gc.collect()
    gc.freeze()
    care = asyncio.create_task(supervise(source, certificate_metrics))
    try:
        await DrainingServer(config, readiness, options.drain_seconds).serve()
    finally:
        application.telemetry.flush()
        care.cancel()
        with suppress(asyncio.CancelledError):
            await care
        await images.aclose()
        await guard.aclose()
