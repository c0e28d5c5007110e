"""The eviction guard: reads an evicted pod and, if it is protected, keeps its grace period.

If anything fails, the eviction proceeds unchanged: a failing guard must not block a node drain.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from typing import TYPE_CHECKING

from certs.clock import wall_clock
from certs.errors import describe_error
from webhook.core.errors import Malformed
from webhook.core.eviction import EvictedPod, EvictionDecision, decide_eviction, is_lost, read_evicted_pod
from webhook.core.reasons import Finding, Reason
from webhook.server.admission_review import EvictionRequest
from webhook.server.errors import PodNotFound, PodUnreadable
from webhook.server.json_log import LOGGER
from webhook.server.options import MAX_EVICTION_SECONDS

if TYPE_CHECKING:
    from webhook.server.pods import ClusterPods

QUIET_SECONDS = 60.0
"""Minimum seconds between log lines about unreadable pods: a drain evicts hundreds of pods, repeatedly."""


class EvictionGuard:
    """Decides on evictions."""

    def __init__(self, pods: ClusterPods | None = None, limit: int = MAX_EVICTION_SECONDS) -> None:
        """Take the source of pods (None turns the guard off), and the longest grace period to keep, in seconds."""
        self._pods = pods
        self._limit = limit
        self._log = logging.getLogger(LOGGER)
        self._quiet_until = time.monotonic()

    async def decide(self, request: EvictionRequest, seconds: float, *, by_api_server: bool) -> EvictionDecision:
        """Decide on an eviction within some seconds; `by_api_server` tells whether the caller has authenticated."""
        if self._pods is None:
            return _as_asked(Reason.EVICTION_GUARD_OFF)
        if not by_api_server:
            return _as_asked(Reason.EVICTION_CLOSED)
        if request.object is None or request.object.grace is None:
            return _as_asked(Reason.EVICTION_LONG_ENOUGH)
        try:
            async with asyncio.timeout(seconds):
                pod = read_evicted_pod(await self._pods.get(request.namespace, request.name))
                decision = decide_eviction(request.object, pod, self._limit, _seconds_late(pod))
                # On a dead node, no message can finish, and a user who drains it wants its pods gone.
                node = pod.spec.node
                if decision.grace_period is not None and node and is_lost(await self._pods.node(node)):
                    return _as_asked(Reason.EVICTION_OF_LOST_NODE)
                return decision
        except PodNotFound:
            return _as_asked(Reason.EVICTION_GONE)
        except TimeoutError:
            return self._unreadable("the API server did not respond in time")
        except (PodUnreadable, Malformed) as error:
            return self._unreadable(str(error))

    def _unreadable(self, why: str) -> EvictionDecision:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            self._log.error("an eviction is left unchanged because its pod cannot be read: %s", why)
        return _as_asked(Reason.EVICTION_UNSEEN, why)

    async def aclose(self) -> None:
        """Close the connections to the API server."""
        if self._pods is not None:
            await self._pods.aclose()


def _seconds_late(pod: EvictedPod) -> float:
    """Return how long a pod's deletionTimestamp has passed; 0 if it has none that can be read."""
    try:
        deadline = datetime.datetime.fromisoformat(pod.metadata.deadline or "")
        return (wall_clock() - deadline).total_seconds()
    except (ValueError, TypeError):
        return 0


def _as_asked(reason: Reason, detail: str = "") -> EvictionDecision:
    return EvictionDecision(Finding(reason, detail=detail))


def make_guard(off_reason: str, limit: int) -> EvictionGuard:
    """Return the guard; it is off if there is a reason, or no cluster. This is logged once."""
    log = logging.getLogger(LOGGER)
    if off_reason:
        log.info("the eviction guard is off: %s", off_reason)
        return EvictionGuard()
    # A server without a cluster does not need the client, which takes memory.
    from certs.api_server import connect  # noqa: PLC0415
    from webhook.server.pods import ClusterPods  # noqa: PLC0415

    try:
        return EvictionGuard(ClusterPods(connect()), limit)
    except Exception as error:  # a kubeconfig may contain anything
        log.warning(
            "the eviction guard is off because there is no cluster to read pods from: %s", describe_error(error)
        )
        return EvictionGuard()
