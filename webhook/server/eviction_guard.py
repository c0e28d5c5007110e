"""The guard on evictions: looks at the pod, and lets a protected one keep its grace period.

Whatever goes wrong, the eviction is let through as it was: a guard that fails must not keep a node from being drained.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from certs.repetition import told
from webhook.core.eviction import Eviction, EvictionDecision, decide_eviction, is_lost, read_evicted_pod
from webhook.core.pod import JsonObject, Malformed
from webhook.core.reasons import Finding, Reason
from webhook.server.logs import LOGGER
from webhook.server.options import EVICTION_LIMIT
from webhook.server.review import EvictionRequest

QUIET_SECONDS = 60.0
"""Between two lines of the log about pods that cannot be looked at: a drain evicts hundreds, again and again."""


class PodUnseen(Exception):
    """A pod cannot be looked at; the message says why."""


class PodGone(Exception):
    """There is no such pod: somebody else was faster, and nothing is wrong."""


class Pods(Protocol):
    """Knows the pods of the cluster, and the nodes that they run on."""

    async def get(self, namespace: str, name: str) -> JsonObject:
        """Return a pod, or raise PodUnseen or PodGone."""

    async def node(self, name: str) -> JsonObject | None:
        """Return a node, None where there is none of that name, or raise PodUnseen."""

    async def aclose(self) -> None:
        """End what is under way."""


class EvictionGuard:
    """Decides on evictions."""

    def __init__(
        self,
        pods: Pods | None = None,
        limit: int = EVICTION_LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take whom to ask for pods (None: the guard is off), and how much of a grace period is kept, in seconds."""
        self._pods = pods
        self._limit = limit
        self._clock = clock
        self._log = logging.getLogger(LOGGER)
        self._quiet_until = clock()

    async def decide(self, request: EvictionRequest, seconds: float, *, by_api_server: bool) -> EvictionDecision:
        """Decide on an eviction within some seconds; `by_api_server` says whether the caller has proved to be it."""
        if self._pods is None:
            return _as_asked(Reason.EVICTION_GUARD_OFF)
        if not by_api_server:
            return _as_asked(Reason.EVICTION_CLOSED)
        if request.object is None or request.object.grace is None:
            return _as_asked(Reason.EVICTION_LONG_ENOUGH)
        try:
            async with asyncio.timeout(seconds):
                return await self._look(self._pods, request, request.object)
        except PodGone:
            return _as_asked(Reason.EVICTION_GONE)
        except TimeoutError:
            return self._unseen("the API server does not answer in time")
        except (PodUnseen, Malformed) as error:
            return self._unseen(str(error))

    async def _look(self, pods: Pods, request: EvictionRequest, eviction: Eviction) -> EvictionDecision:
        pod = read_evicted_pod(await pods.get(request.namespace, request.name))
        decision = decide_eviction(eviction, pod, self._limit)
        # Who drains a dead node wants its pods gone, and no message can finish there.
        if decision.kept is not None and pod.node and is_lost(await pods.node(pod.node)):
            return _as_asked(Reason.EVICTION_OF_LOST_NODE)
        return decision

    def _unseen(self, why: str) -> EvictionDecision:
        now = self._clock()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            self._log.error("an eviction is let through as it was, as its pod cannot be looked at: %s", why)
        return _as_asked(Reason.EVICTION_UNSEEN, why)

    async def aclose(self) -> None:
        """Close the connections to the API server."""
        if self._pods is not None:
            await self._pods.aclose()


def _as_asked(reason: Reason, detail: str = "") -> EvictionDecision:
    return EvictionDecision(Finding(reason, detail=detail))


def make_guard(off_because: str, limit: int) -> EvictionGuard:
    """Return the guard; it is off where there is a reason for that, or no cluster. The log says so, once."""
    log = logging.getLogger(LOGGER)
    if off_because:
        log.info("the guard on evictions is off: %s", off_because)
        return EvictionGuard()
    # Who serves without a cluster needs no client for it, and that takes memory.
    from webhook.server.pods import connect_pods  # noqa: PLC0415

    try:
        return EvictionGuard(connect_pods(), limit)
    except Exception as error:  # a kubeconfig may be anything
        log.warning("the guard on evictions is off, as there is no cluster to ask for pods: %s", told(error))
        return EvictionGuard()
