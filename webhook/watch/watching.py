"""The process: follows pods, answers probes and Prometheus, writes Events, and survives errors."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

from httpx2 import AsyncClient
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from certs.api_server import ApiServer
from certs.clock import wall_clock
from certs.retry import retry_forever
from webhook import __version__
from webhook.core.annotations import INJECTED_LABEL, LABEL, LABEL_ENABLED
from webhook.drains.following import Change, Contact, follow
from webhook.drains.tracker import Tracker
from webhook.server.json_log import LOG_WRITER, LOGGER, configure_logs
from webhook.server.memory import allocate_buffers_separately
from webhook.watch.events import EventWriter
from webhook.watch.http import Answer, HttpServer, Routes, status_answer
from webhook.watch.metrics import DrainCollector, Metrics, WatchCollector
from webhook.watch.notices import Notices
from webhook.watch.observer import DrainObserver, UnprotectedObserver
from webhook.watch.statistics import DrainStatistics

SILENT_SECONDS = 300.0
"""If the API server has not responded for this long, restart the process."""
SUMMARY_SECONDS = 60.0
LAST_WORDS_SECONDS = 2.0
"""Time for the last Events and log lines on exit."""
PROTECTED, UNPROTECTED = "protected", "unprotected"
PROTECTED_SELECTOR = f"{INJECTED_LABEL}=true"
UNPROTECTED_SELECTOR = f"{LABEL}={LABEL_ENABLED},{INJECTED_LABEL}!=true"


@dataclass(frozen=True)
class WatchOptions:
    """The operator's options."""

    host: str
    port: int
    log_level: str
    namespace: str
    """The installation's namespace; like kube-system, it has no workers."""


@dataclass
class Failures:
    """Counts internal errors, each of which is logged."""

    failures: int = 0


@dataclass
class Watch:
    """The state of the process."""

    tracker: Tracker = field(default_factory=Tracker)
    statistics: DrainStatistics = field(default_factory=DrainStatistics)
    notices: Notices = field(default_factory=Notices)
    contacts: dict[str, Contact] = field(
        default_factory=lambda: {PROTECTED: Contact("protected pods"), UNPROTECTED: Contact("unprotected pods")}
    )

    def __post_init__(self) -> None:
        self.drains = DrainObserver(self.tracker, self.statistics, self.notices)
        start = wall_clock()
        self.unprotected = UnprotectedObserver(self.notices, start)
        self.metrics = Metrics(
            DrainCollector(self.tracker, self.statistics, wall_clock),
            WatchCollector(self.tracker, self.contacts, self.notices, start),
        )

    def routes(self) -> Routes:
        """Return the HTTP routes."""
        return {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}

    def _healthz(self) -> Answer:
        is_silent = self.contacts[PROTECTED].silence > SILENT_SECONDS
        return status_answer("the API server does not respond" if is_silent else "ok", is_well=not is_silent)

    def _readyz(self) -> Answer:
        is_ready = self.drains.has_listed
        return status_answer("ok" if is_ready else "pods are not listed yet", is_well=is_ready)

    def _metrics(self) -> Answer:
        return Answer(HTTPStatus.OK, self.metrics.exposition(), CONTENT_TYPE_LATEST)


def watch(client: AsyncClient, options: WatchOptions) -> None:
    """Watch until a signal stops it.

    Raises:
        OSError: it is not possible to listen on the address.

    """
    log = configure_logs(options.log_level)
    # So that pages of pods, of several MiB each, leave no memory behind.
    allocate_buffers_separately()
    state = Watch()
    server = HttpServer(state.routes())
    server.listen(options.host, options.port)
    log.info("graceful-worker %s is watching drains, metrics on port %d", __version__, server.port)
    try:
        with suppress(asyncio.CancelledError):
            asyncio.run(_run(client, state, server, options.namespace))
    finally:
        LOG_WRITER.drain(LAST_WORDS_SECONDS)


async def _run(client: AsyncClient, state: Watch, server: HttpServer, namespace: str) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this is one
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    failures = Failures()
    writer = EventWriter(ApiServer(client), state.notices, wall_clock)
    left_out = f"metadata.namespace!=kube-system,metadata.namespace!={namespace}"
    acts = {
        "cannot watch drains": lambda: _follow(
            client, PROTECTED_SELECTOR, "", state.contacts[PROTECTED], state.drains.take
        ),
        "cannot watch unprotected pods": lambda: _follow(
            client, UNPROTECTED_SELECTOR, left_out, state.contacts[UNPROTECTED], state.unprotected.take
        ),
        "cannot write Events": writer.run,
        "cannot log summaries": lambda: _summarise(state.drains),
        "cannot serve metrics": server.run,
    }
    try:
        async with asyncio.TaskGroup() as group:
            for what, act in acts.items():
                group.create_task(retry_forever(act, what, failures))
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await writer.finish()
        state.drains.summarise()
        await client.aclose()


async def _follow(
    client: AsyncClient, labels: str, fields: str, contact: Contact, take: Callable[[Change], None]
) -> None:
    async with aclosing(follow(client, labels, fields, contact=contact)) as changes:
        async for change in changes:
            try:
                take(change)
            except Exception:
                # One invalid pod must not stop the watch. Log where it happened, and nothing about the pod.
                logging.getLogger(LOGGER).exception("cannot process a change of a pod")
            # The next change may take long, and a list contains all pods.
            del change


async def _summarise(drains: DrainObserver) -> None:
    while True:
        await asyncio.sleep(SUMMARY_SECONDS)
        drains.summarise()
