"""The control loop of one replica: observes, takes the step that the rotation decides, and repeats."""

from __future__ import annotations

import asyncio
import datetime
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from cryptography import x509

from certs.authority import NOT_BEFORE
from certs.ca_secret import CaSecret
from certs.clock import wall_clock
from certs.cluster import Cluster, ClusterState
from certs.errors import Conflict
from certs.metrics import CertificateMetrics
from certs.retry import LOGGER, retry_forever
from certs.rotation import Observation, Publish, Sign, Step, Wait, Write, is_accepted, last_known, next_step
from certs.rotation_settings import RotationSettings
from certs.served_certificate import ServedCertificate

MIN_INTERVAL = 0.05
"""Seconds between two observations, so that a conflict with another client over a bundle does not use a whole core."""
WATCH_INTERVAL = 1.0
"""Seconds between two watches."""
MAX_CONFLICTS = 20
"""Consecutive conflicts before they count as a failure."""
FAILURE = "cannot manage the certificates"


def service_hosts(service: str, namespace: str, domain: str) -> tuple[str, ...]:
    """Return the names of a Service; the API server uses the first one."""
    full = f"{service}.{namespace}.svc"
    return full, service, f"{service}.{namespace}", f"{full}.{domain}"


class Controller:
    """Manages a replica's certificate so that the API server accepts it."""

    def __init__(
        self,
        cluster: Cluster,
        served: ServedCertificate,
        hosts: Sequence[str],
        metrics: CertificateMetrics,
        settings: RotationSettings | None = None,
        clock: Callable[[], datetime.datetime] = wall_clock,
    ) -> None:
        self._cluster = cluster
        self._served = served
        self._hosts = hosts
        self._metrics = metrics
        self._settings = settings or RotationSettings()
        self._clock = clock
        self._log = logging.getLogger(LOGGER)
        self._has_signed = False
        self._last_known: CaSecret | None = None
        self._secret_stability = StabilityTimer()
        self._bundles_stability = StabilityTimer()
        self._dropped_version = ""
        self._observation: Observation | None = None
        self._observed_at = 0.0
        self._is_skewed = False
        self._published: frozenset[x509.Certificate] = frozenset()
        self._conflicts = 0

    @property
    def is_ready(self) -> bool:
        """Whether the API server accepts the certificate, according to the last observation and the current time."""
        if self._observation is None or not self._has_signed:
            return False
        # Uses the API server's clock, extrapolated, because the local clock may be wrong.
        now = self._observation.now + datetime.timedelta(seconds=time.monotonic() - self._observed_at)
        return is_accepted(self._served.leaf, self._observation.bundles, self._hosts[0], now)

    @property
    def paths(self) -> frozenset[str]:
        """Paths that are known only to the API server and to readers of the configuration."""
        return self._last_known.paths if self._last_known else frozenset()

    async def run(self) -> None:
        """Manage the certificate until cancelled; if one part ends, all parts end."""
        cluster = self._cluster
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(retry_forever(self._reconcile_and_wait, FAILURE, self._metrics))
                for watch in (cluster.watch_secret, cluster.watch_configuration):
                    group.create_task(retry_forever(partial(_watch, watch), "changes are noticed late", self._metrics))
        finally:
            await cluster.aclose()

    async def _reconcile_and_wait(self) -> None:
        try:
            step = await self.step()
            self._conflicts = 0
        except Conflict:
            self._conflicts += 1
            if self._conflicts % MAX_CONFLICTS == 0:
                raise Conflict("another client keeps changing the Secret or the configuration") from None
            step = None
        if isinstance(step, Wait):
            # Not wait_for: before Python 3.12, it may lose a cancellation when the event is set at the same time.
            with suppress(TimeoutError):
                async with asyncio.timeout(step.seconds):
                    await self._cluster.changed.wait()
        await asyncio.sleep(MIN_INTERVAL)

    async def step(self) -> Step:
        """Observe, and take one step.

        Raises:
            Conflict: another client was faster.
            ExpectedError: the API server cannot be reached, or denies access.

        """
        self._cluster.changed.clear()
        own_time, started = self._clock(), time.monotonic()
        state = await self._cluster.read()
        observation = self._observe(own_time, started, state)
        step = next_step(observation, self._settings)
        if isinstance(step, Write):
            await self._write(step, state)
        elif isinstance(step, Publish):
            await self._publish(step, started, state)
        elif isinstance(step, Sign):
            self._sign(step, observation)
        return step

    def _observe(self, own: datetime.datetime, started: float, state: ClusterState) -> Observation:
        live, ca_secret = state.configuration, state.ca_secret
        self._compare_clocks(own, live.date)
        if ca_secret and live.bundles and all(bundle == ca_secret.trusted for bundle in live.bundles):
            self._published = ca_secret.trusted
        observation = Observation(
            now=live.date or own,
            own=own,
            bundles=live.bundles,
            ca_secret=ca_secret,
            requested=state.requested,
            known=self._last_known,
            unchanged=self._secret_stability.observe(state.secret_version, started),
            published=self._bundles_stability.observe(tuple(live.bundles), started),
            dropped_by_us=state.secret_version == self._dropped_version,
            leaf=self._served.leaf if self._has_signed else None,
            host=self._hosts[0],
            paths=[target.path for target in live.targets],
        )
        self._observation, self._observed_at = observation, started
        if state.rejection:
            self._log.error("recreating the Secret of the CA: %s", state.rejection)
        self._last_known = last_known(self._last_known, ca_secret)
        if ca_secret is not None:
            self._metrics.ca_expiry = ca_secret.current.ends if ca_secret.current else None
        return observation

    def _compare_clocks(self, own: datetime.datetime, date: datetime.datetime | None) -> None:
        skew = own - date if date else None
        self._metrics.clock_skew = skew.total_seconds() if skew is not None else None
        is_skewed = skew is not None and abs(skew) > self._settings.skew
        if is_skewed and not self._is_skewed:
            message = (
                "the local clock and the API server's differ by %.0f s: using the API server's, and creating no CA"
            )
            self._log.warning(message, self._metrics.clock_skew)
        elif self._is_skewed and not is_skewed:
            self._log.info("the local clock and the API server's agree again")
        self._is_skewed = is_skewed

    async def _write(self, step: Write, state: ClusterState) -> None:
        version = await self._cluster.write(step.ca_secret, state)
        self._dropped_version = version if step.drops else ""
        self._log.info("the CA Secret has changed: %s", step.why)
        promoted = step.ca_secret.current != (state.ca_secret and state.ca_secret.current)
        self._metrics.rotations += bool(promoted and state.ca_secret and state.ca_secret.current)

    async def _publish(self, step: Publish, started: float, state: ClusterState) -> None:
        if step.removes:
            with suppress(TimeoutError):
                async with asyncio.timeout(started + self._settings.removal - time.monotonic()):
                    await self._cluster.publish(step.certificates, step.path, state)
                    self._log.info("every caBundle now contains only the current CAs")
            return
        await self._cluster.publish(step.certificates, step.path, state)
        if step.certificates == self._published:
            # They were present before, so another client has removed them.
            self._metrics.healings += 1
            self._log.warning("restored caBundle and path, which another client had changed")
        else:
            self._log.info("every webhook entry now has the current CAs and path")
        self._published = step.certificates

    def _sign(self, step: Sign, observation: Observation) -> None:
        leaf = step.authority.issue(self._hosts, NOT_BEFORE, step.end)
        self._served.exchange(leaf, tuple(observation.bundles[0]), self._hosts[0])
        self._has_signed = True
        self._metrics.leaf_expiry = leaf.ends
        self._log.info("serving a new certificate, valid until %s", leaf.ends.isoformat())


class StabilityTimer:
    """How long a value has been observed unchanged."""

    def __init__(self) -> None:
        self._seen: object = None
        self._since = math.inf

    def observe(self, seen: object, started: float) -> float:
        """Return how long this value had been observed when an observation started, in seconds of a monotonic clock."""
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        return max(started - self._since, 0.0)


async def _watch(watch: Callable[[], Awaitable[None]]) -> None:
    await watch()
    await asyncio.sleep(WATCH_INTERVAL)
