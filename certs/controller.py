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
from certs.cluster import Cluster, Reading
from certs.errors import Conflict
from certs.events import Events, wall_clock
from certs.retry import LOGGER, retry_forever
from certs.rotation import Publish, Sight, Sign, Step, Wait, Write, is_served_well, next_step, remembered
from certs.serving import ServedCertificate
from certs.terms import Terms

BREATH = 0.05
"""Seconds between two observations, so that a conflict with another client over a bundle does not use a whole core."""
WATCH_BREATH = 1.0
"""Seconds between two watches."""
MOST_CONFLICTS = 20
"""Consecutive conflicts before they count as a failure."""
FAILURE = "cannot manage the certificates"


def hosts_of(service: str, namespace: str, domain: str) -> tuple[str, ...]:
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
        events: Events,
        terms: Terms | None = None,
        clock: Callable[[], datetime.datetime] = wall_clock,
    ) -> None:
        self._cluster = cluster
        self._served = served
        self._hosts = hosts
        self._events = events
        self._terms = terms or Terms()
        self._clock = clock
        self._log = logging.getLogger(LOGGER)
        self._signed = False
        self._known: CaSecret | None = None
        self._secret_seen = Unchanged()
        self._bundles_seen = Unchanged()
        self._wrote = ""
        self._sight: Sight | None = None
        self._time_seen = 0.0
        self._is_skewed = False
        self._published: frozenset[x509.Certificate] = frozenset()
        self._conflicts = 0

    @property
    def is_ready(self) -> bool:
        """Whether the API server accepts the certificate, according to the last observation and the current time."""
        if self._sight is None or not self._signed:
            return False
        # Uses the API server's clock, extrapolated, because the local clock may be wrong.
        now = self._sight.now + datetime.timedelta(seconds=time.monotonic() - self._time_seen)
        return is_served_well(self._served.leaf, self._sight.bundles, self._hosts[0], now)

    @property
    def paths(self) -> frozenset[str]:
        """Paths that are known only to the API server and to readers of the configuration."""
        return self._known.paths if self._known else frozenset()

    async def run(self) -> None:
        """Manage the certificate until cancelled; if one part ends, all parts end."""
        cluster = self._cluster
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(retry_forever(self._look_and_step, FAILURE, self._events))
                for watch in (cluster.watch_secret, cluster.watch_configuration):
                    group.create_task(retry_forever(partial(_watch, watch), "changes are noticed late", self._events))
        finally:
            await cluster.aclose()

    async def _look_and_step(self) -> None:
        try:
            step = await self.step()
            self._conflicts = 0
        except Conflict:
            self._conflicts += 1
            if self._conflicts % MOST_CONFLICTS == 0:
                raise Conflict("another client keeps changing the Secret or the configuration") from None
            step = None
        if isinstance(step, Wait):
            # Not wait_for: before Python 3.12, it may lose a cancellation when the event is set at the same time.
            with suppress(TimeoutError):
                async with asyncio.timeout(step.seconds):
                    await self._cluster.changed.wait()
        await asyncio.sleep(BREATH)

    async def step(self) -> Step:
        """Observe, and take one step.

        Raises:
            Conflict: another client was faster.
            ExpectedError: the API server cannot be reached, or denies access.

        """
        self._cluster.changed.clear()
        own, began = self._clock(), time.monotonic()
        reading = await self._cluster.read()
        sight = self._look(own, began, reading)
        step = next_step(sight, self._terms)
        if isinstance(step, Write):
            await self._write(step, reading)
        elif isinstance(step, Publish):
            await self._publish(step, began, reading)
        elif isinstance(step, Sign):
            self._sign(step, sight)
        return step

    def _look(self, own: datetime.datetime, began: float, reading: Reading) -> Sight:
        live, vault = reading.live, reading.vault
        self._compare_clocks(own, live.date)
        if vault and live.bundles and all(bundle == vault.trusted for bundle in live.bundles):
            self._published = vault.trusted
        sight = Sight(
            now=live.date or own,
            own=own,
            bundles=live.bundles,
            vault=vault,
            requested=reading.requested,
            known=self._known,
            unchanged=self._secret_seen.look(reading.secret_version, began),
            published=self._bundles_seen.look(tuple(live.bundles), began),
            wrote=reading.secret_version == self._wrote,
            leaf=self._served.leaf if self._signed else None,
            host=self._hosts[0],
            paths=[target.path for target in live.targets],
        )
        self._sight, self._time_seen = sight, began
        if reading.trouble:
            self._log.error("recreating the Secret of the CA: %s", reading.trouble)
        self._known = remembered(self._known, vault)
        if vault is not None:
            self._events.ca_ends = vault.current.ends if vault.current else None
        return sight

    def _compare_clocks(self, own: datetime.datetime, date: datetime.datetime | None) -> None:
        skew = own - date if date else None
        self._events.clock_skew = skew.total_seconds() if skew is not None else None
        is_skewed = skew is not None and abs(skew) > self._terms.skew
        if is_skewed and not self._is_skewed:
            told = "the local clock and the API server's differ by %.0f s: using the API server's, and creating no CA"
            self._log.warning(told, self._events.clock_skew)
        elif self._is_skewed and not is_skewed:
            self._log.info("the local clock and the API server's agree again")
        self._is_skewed = is_skewed

    async def _write(self, step: Write, reading: Reading) -> None:
        version = await self._cluster.write(step.vault, reading)
        self._wrote = version if step.drops else ""
        self._log.info("the CA Secret has changed: %s", step.why)
        promoted = step.vault.current != (reading.vault and reading.vault.current)
        self._events.rotations += bool(promoted and reading.vault and reading.vault.current)

    async def _publish(self, step: Publish, began: float, reading: Reading) -> None:
        if step.removes:
            with suppress(TimeoutError):
                async with asyncio.timeout(began + self._terms.removal - time.monotonic()):
                    await self._cluster.publish(step.certificates, step.path, reading)
                    self._log.info("every caBundle now contains only the current CAs")
            return
        await self._cluster.publish(step.certificates, step.path, reading)
        self._tell_of(step)

    def _tell_of(self, step: Publish) -> None:
        if step.certificates == self._published:
            # They were present before, so another client has removed them.
            self._events.healings += 1
            self._log.warning("restored caBundle and path, which another client had changed")
        else:
            self._log.info("every webhook entry now has the current CAs and path")
        self._published = step.certificates

    def _sign(self, step: Sign, sight: Sight) -> None:
        leaf = step.authority.issue(self._hosts, NOT_BEFORE, step.end)
        self._served.exchange(leaf, tuple(sight.bundles[0]), self._hosts[0])
        self._signed = True
        self._events.leaf_ends = leaf.ends
        self._log.info("serving a new certificate, valid until %s", leaf.ends.isoformat())


class Unchanged:
    """How long a value has been observed unchanged."""

    def __init__(self) -> None:
        self._seen: object = None
        self._since = math.inf

    def look(self, seen: object, began: float) -> float:
        """Return how long this value had been observed when an observation started, in seconds of a monotonic clock."""
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        return max(began - self._since, 0.0)


async def _watch(watch: Callable[[], Awaitable[None]]) -> None:
    await watch()
    await asyncio.sleep(WATCH_BREATH)
