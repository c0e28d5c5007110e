"""The loop of one replica: looks, takes the step that the rotation says, and looks again."""

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

from certs.cluster import Changed, Cluster, Reading
from certs.events import Events, wall_clock
from certs.repetition import LOGGER, Trouble, repeat
from certs.rotation import BEGIN, Publish, Sight, Sign, Step, Vault, Wait, Write, is_served_well, next_step, remembered
from certs.serving import ServedCertificate
from certs.terms import Terms

BREATH = 0.05
"""Seconds between two looks, so that a replica that fights somebody else for a bundle does not take all of a core."""
WATCH_BREATH = 1.0
"""Seconds between two watches."""
MOST_CONFLICTS = 20
"""Times in a row that somebody else may be faster, before that counts as a failure."""
FAILURE = "the certificates cannot be looked after"


def hosts_of(service: str, namespace: str, domain: str) -> tuple[str, ...]:
    """Return the names of a Service; the API server calls the first one."""
    full = f"{service}.{namespace}.svc"
    return full, service, f"{service}.{namespace}", f"{full}.{domain}"


class Controller:
    """Keeps one replica's certificate such that the API server accepts it."""

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
        self._known: Vault | None = None
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
        """Whether the API server accepts the certificate, as far as this replica has seen, and at this time."""
        if self._sight is None or not self._signed:
            return False
        # By the API server's clock, which goes on without it; the own one may be wrong.
        now = self._sight.now + datetime.timedelta(seconds=time.monotonic() - self._time_seen)
        return is_served_well(self._served.leaf, self._sight.bundles, self._hosts[0], now)

    @property
    def paths(self) -> frozenset[str]:
        """Paths that only the API server knows, and whoever may read the configuration."""
        return self._known.paths if self._known else frozenset()

    async def run(self) -> None:
        """Look after the certificate until cancelled; if a part of it ends all the same, all of it does."""
        cluster = self._cluster
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(repeat(self._look_and_step, FAILURE, self._events))
                for watch in (cluster.watch_secret, cluster.watch_configuration):
                    group.create_task(repeat(partial(_watch, watch), "changes are seen late", self._events))
        finally:
            await cluster.aclose()

    async def _look_and_step(self) -> None:
        try:
            step = await self.step()
            self._conflicts = 0
        except Changed:
            self._conflicts += 1
            if self._conflicts % MOST_CONFLICTS == 0:
                raise Trouble("somebody else changes the Secret or the configuration all the time") from None
            step = None
        if isinstance(step, Wait):
            # Not by wait_for: before Python 3.12 it may lose a cancellation, as the watches set the event at their end.
            with suppress(TimeoutError):
                async with asyncio.timeout(step.seconds):
                    await self._cluster.changed.wait()
        await asyncio.sleep(BREATH)

    async def step(self) -> Step:
        """Look, and take one step.

        Raises:
            Changed: somebody else was faster.
            Trouble: the API server cannot be reached, or does not let us.

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
            self._log.error("the Secret of the CA is made anew: %s", reading.trouble)
        self._known = remembered(self._known, vault)
        if vault is not None:
            self._events.ca_ends = vault.current.ends if vault.current else None
        return sight

    def _compare_clocks(self, own: datetime.datetime, date: datetime.datetime | None) -> None:
        skew = own - date if date else None
        self._events.clock_skew = skew.total_seconds() if skew is not None else None
        is_skewed = skew is not None and abs(skew) > self._terms.skew
        if is_skewed and not self._is_skewed:
            told = "this machine's clock and the API server's differ by %.0f s: that one counts, and no CA is made here"
            self._log.warning(told, self._events.clock_skew)
        elif self._is_skewed and not is_skewed:
            self._log.info("this machine's clock and the API server's agree again")
        self._is_skewed = is_skewed

    async def _write(self, step: Write, reading: Reading) -> None:
        version = await self._cluster.write(step.vault, reading)
        self._wrote = version if step.drops else ""
        self._log.info("the vault has changed: %s", step.why)
        promoted = step.vault.current != (reading.vault and reading.vault.current)
        self._events.rotations += bool(promoted and reading.vault and reading.vault.current)

    async def _publish(self, step: Publish, began: float, reading: Reading) -> None:
        if step.removes:
            with suppress(TimeoutError):
                async with asyncio.timeout(began + self._terms.removal - time.monotonic()):
                    await self._cluster.publish(step.certificates, step.path, reading)
                    self._log.info("every bundle holds the CAs of the vault alone now")
            return
        await self._cluster.publish(step.certificates, step.path, reading)
        self._tell_of(step)

    def _tell_of(self, step: Publish) -> None:
        if step.certificates == self._published:
            # They were there before, so somebody else took them away.
            self._events.healings += 1
            self._log.warning("every entry holds CAs and path again: somebody had changed one")
        else:
            self._log.info("every entry holds the CAs and the path of the vault now")
        self._published = step.certificates

    def _sign(self, step: Sign, sight: Sight) -> None:
        leaf = step.authority.issue(self._hosts, BEGIN, step.end)
        self._served.exchange(leaf, tuple(sight.bundles[0]), self._hosts[0])
        self._signed = True
        self._events.leaf_ends = leaf.ends
        self._log.info("a new certificate is served, valid until %s", leaf.ends.isoformat())


class Unchanged:
    """How long something has been seen unchanged."""

    def __init__(self) -> None:
        self._seen: object = None
        self._since = math.inf

    def look(self, seen: object, began: float) -> float:
        """Return for how many seconds this was seen when a look began, by a clock that only goes on."""
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        return max(began - self._since, 0.0)


async def _watch(watch: Callable[[], Awaitable[None]]) -> None:
    await watch()
    await asyncio.sleep(WATCH_BREATH)
