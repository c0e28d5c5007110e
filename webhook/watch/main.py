"""The process of `watch`: watches pods, serves probes and metrics, writes Events, and survives errors."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import aclosing, suppress
from http import HTTPStatus

import msgspec
from httpx2 import AsyncClient
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from certs.api_server import ApiServer
from certs.clock import wall_clock
from certs.retry import retry_forever
from webhook import __version__
from webhook.core.annotations import INJECTED_LABEL, LABEL, LABEL_ENABLED
from webhook.drains.health import WatchHealth
from webhook.drains.reflector import PodChange, list_and_watch
from webhook.drains.tracker import Tracker
from webhook.server.json_log import LOG_WRITER, LOGGER, configure_logs
from webhook.server.memory import allocate_buffers_separately
from webhook.watch.event_aggregator import EventAggregator
from webhook.watch.event_writer import EventWriter
from webhook.watch.handlers import DrainHandler, UnprotectedPodHandler
from webhook.watch.http_server import HttpServer, Response, Routes, status_response
from webhook.watch.metrics import DrainCollector, Metrics, WatchCollector
from webhook.watch.statistics import DrainStatistics

SILENT_SECONDS = 300.0
"""If the API server has not responded for this long, restart the process."""
SUMMARY_SECONDS = 60.0
SHUTDOWN_SECONDS = 2.0
"""Time for the last Events and log lines on exit."""
PROTECTED, UNPROTECTED = "protected", "unprotected"
PROTECTED_SELECTOR = f"{INJECTED_LABEL}=true"
UNPROTECTED_SELECTOR = f"{LABEL}={LABEL_ENABLED},{INJECTED_LABEL}!=true"


class WatchOptions(msgspec.Struct, frozen=True):
    """The operator's options."""

    host: str
    port: int
    log_level: str
    namespace: str
    """The installation's namespace; like kube-system, it has no workers."""


class DrainWatch:
    """The state of the process."""

    def __init__(self) -> None:
        self.tracker = Tracker()
        self.statistics = DrainStatistics()
        self.aggregator = EventAggregator()
        self.watches = {name: WatchHealth(f"{name} pods") for name in (PROTECTED, UNPROTECTED)}
        self.failures = 0
        """Internal errors, each of which is logged."""
        self.drains = DrainHandler(self.tracker, self.statistics, self.aggregator)
        start = wall_clock()
        self.unprotected = UnprotectedPodHandler(self.aggregator, start)
        self.metrics = Metrics(
            DrainCollector(self.tracker, self.statistics, wall_clock),
            WatchCollector(self.tracker, self.watches, self.aggregator, start),
        )

    def routes(self) -> Routes:
        """Return the HTTP routes."""
        return {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}

    def _healthz(self) -> Response:
        is_silent = self.watches[PROTECTED].silence > SILENT_SECONDS
        return status_response("the API server does not respond" if is_silent else "ok", is_ok=not is_silent)

    def _readyz(self) -> Response:
        is_ready = self.drains.has_listed
        return status_response("ok" if is_ready else "pods are not listed yet", is_ok=is_ready)

    def _metrics(self) -> Response:
        return Response(HTTPStatus.OK, self.metrics.exposition(), CONTENT_TYPE_LATEST)


def run(client: AsyncClient, options: WatchOptions) -> None:
    """Watch drains until a signal stops the process.

    Raises:
        OSError: it is not possible to listen on the address.

    """
    log = configure_logs(options.log_level)
    # So that pages of pods, of several MiB each, leave no memory behind.
    allocate_buffers_separately()
    state = DrainWatch()
    server = HttpServer(state.routes())
    server.listen(options.host, options.port)
    log.info("graceful-worker %s is watching drains, metrics on port %d", __version__, server.port)
    try:
        with suppress(asyncio.CancelledError):
            asyncio.run(_run(client, state, server, options.namespace))
    finally:
        LOG_WRITER.drain(SHUTDOWN_SECONDS)


async def _run(client: AsyncClient, state: DrainWatch, server: HttpServer, namespace: str) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this is one
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    writer = EventWriter(ApiServer(client), state.aggregator, wall_clock)
    excluded = f"metadata.namespace!=kube-system,metadata.namespace!={namespace}"
    jobs = {
        "cannot watch drains": lambda: _watch_pods(
            client, PROTECTED_SELECTOR, "", state.watches[PROTECTED], state.drains.handle
        ),
        "cannot watch unprotected pods": lambda: _watch_pods(
            client, UNPROTECTED_SELECTOR, excluded, state.watches[UNPROTECTED], state.unprotected.handle
        ),
        "cannot write Events": writer.run,
        "cannot log summaries": lambda: _log_summaries(state.drains),
        "cannot serve metrics": server.run,
    }
    try:
        async with asyncio.TaskGroup() as tasks:
            for what, job in jobs.items():
                tasks.create_task(retry_forever(job, what, state))
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                await writer.finish()
        state.drains.log_summary()
        await client.aclose()


async def _watch_pods(
    client: AsyncClient, labels: str, fields: str, health: WatchHealth, handle: Callable[[PodChange], None]
) -> None:
    async with aclosing(list_and_watch(client, labels, fields, health=health)) as changes:
        async for change in changes:
            try:
                handle(change)
            except Exception:
                # One invalid pod must not stop the watch. Log where it happened, and nothing about the pod.
                logging.getLogger(LOGGER).exception("cannot process a change of a pod")
            # The next change may take long, and a list contains all pods.
            del change


async def _log_summaries(drains: DrainHandler) -> None:
    while True:
        await asyncio.sleep(SUMMARY_SECONDS)
        drains.log_summary()
