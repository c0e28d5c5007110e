"""A simulated cluster in which replicas rotate their CA in small steps, in any order, with failures in between."""

from __future__ import annotations

import datetime
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache

from cryptography import x509

from certs.authority import NOT_BEFORE, Authority
from certs.ca_secret import CaSecret
from certs.certificate import Leaf, rejection_reason
from certs.rotation import Observation, Publish, Sign, Wait, Write, is_accepted, last_known, next_step
from certs.rotation_settings import RotationSettings

HOST = "graceful-worker.graceful-worker.svc"
SETTINGS = RotationSettings(datetime.timedelta(days=90), datetime.timedelta(hours=24), 5.0)
LAG = SETTINGS.propagation / 2
"""Seconds by which an API server's view of the configuration may be out of date."""
ENTRIES = 2
START = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
Bundle = frozenset[x509.Certificate]


@dataclass
class Replica:
    """A replica: what it has observed before, and what it has read so far of the cluster."""

    known: CaSecret | None = None
    seen: int | None = None
    since: float = 0.0
    seen_bundles: tuple[Bundle, ...] | None = None
    since_bundles: float = 0.0
    dropped_by_us: int | None = None
    leaf: Leaf | None = None
    offset: datetime.timedelta = datetime.timedelta()
    began: float = 0.0
    bundles: tuple[Bundle, ...] | None = None
    configuration_version: int = 0
    observation: Observation | None = None
    secret_version: int = 0


@dataclass
class World:
    """The Secret, the configuration, the time, and three replicas."""

    ca_secret: CaSecret | None = None
    secret_version: int = 0
    requested: str = ""
    bundles: tuple[Bundle, ...] = (frozenset(),) * ENTRIES
    configuration_version: int = 1
    seconds: float = 0.0
    replicas: list[Replica] = field(default_factory=lambda: [Replica() for _ in range(3)])
    past: list[tuple[float, tuple[Bundle, ...]]] = field(default_factory=list)
    """Earlier bundles, each with the time until which it was live."""
    disturbed: bool = False
    """Whether another client has broken the bundles; then failing leaves are not the replicas' fault."""
    backups: list[CaSecret | None] = field(default_factory=list)

    @property
    def now(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=self.seconds)

    # What a replica does, in three steps; anything may happen between them

    def act(self, index: int) -> None:
        replica = self.replicas[index]
        if replica.bundles is None:
            replica.began = self.seconds
            replica.bundles, replica.configuration_version = self.bundles, self.configuration_version
        elif replica.observation is None:
            self._read_secret(replica)
        else:
            observation, replica.observation, replica.bundles = replica.observation, None, None
            self._take_step(replica, observation)
            self.check()

    def _read_secret(self, replica: Replica) -> None:
        assert replica.bundles is not None
        replica.secret_version = self.secret_version
        if self.secret_version != replica.seen:
            replica.seen, replica.since = self.secret_version, self.seconds
        if replica.bundles != replica.seen_bundles:
            replica.seen_bundles, replica.since_bundles = replica.bundles, self.seconds
        began = START + datetime.timedelta(seconds=replica.began)
        replica.observation = Observation(
            now=began,
            own=began + replica.offset,
            bundles=replica.bundles,
            ca_secret=self.ca_secret,
            requested=self.requested,
            known=replica.known,
            unchanged=replica.began - replica.since,
            published=replica.began - replica.since_bundles,
            dropped_by_us=replica.dropped_by_us == self.secret_version,
            leaf=replica.leaf,
            host=HOST,
        )
        replica.known = last_known(replica.known, self.ca_secret)

    def _take_step(self, replica: Replica, observation: Observation) -> None:
        step = next_step(observation, SETTINGS)
        if isinstance(step, Write):
            if self.secret_version == replica.secret_version:
                self._store(step.ca_secret)
                replica.dropped_by_us = self.secret_version if step.drops else None
        elif isinstance(step, Publish):
            is_late = step.removes and self.seconds - replica.began > SETTINGS.removal
            if self.configuration_version == replica.configuration_version and not is_late:
                self._set_bundles((step.certificates,) * ENTRIES)
                # API servers may still have bundles of another client: not the replicas' fault either.
                self.past = [] if self.disturbed else self.past
                self.disturbed = False
        elif isinstance(step, Sign):
            replica.leaf = step.authority.issue([HOST], NOT_BEFORE, step.end)
        else:
            assert isinstance(step, Wait)
            assert step.seconds > 0

    def _store(self, ca_secret: CaSecret | None) -> None:
        # Replicas react at once to a Secret without its previous CAs, so there is no backup of one.
        if self.ca_secret is None or not self.ca_secret.lacks_previous:
            self.backups.append(self.ca_secret)
        self.ca_secret, self.secret_version = ca_secret, self.secret_version + 1

    def _set_bundles(self, bundles: tuple[Bundle, ...]) -> None:
        self.past.append((self.seconds, self.bundles))
        self.bundles, self.configuration_version = bundles, self.configuration_version + 1

    def work(self, seconds: int) -> None:
        """Let every replica read the cluster and act once a second."""
        for _ in range(seconds):
            self.advance(1.0)
            for index in range(len(self.replicas)):
                for _ in range(3):
                    self.act(index)

    # Failures and changes by others

    def crash(self, index: int) -> None:
        self.replicas[index] = Replica(offset=self.replicas[index].offset)

    def delete_secret(self) -> None:
        self._store(None)

    def restore_secret(self, which: int) -> None:
        if self.backups:
            self._store(self.backups[which % len(self.backups)])

    def forget_previous(self) -> None:
        """Remove the previous CAs by hand (docs/certificates.md): all replicas serve a leaf of the current one."""
        ca_secret = self.ca_secret
        if ca_secret is None or ca_secret.current is None or ca_secret.next is not None:
            return
        current = frozenset([ca_secret.current.parsed])
        if all(replica.leaf is None or is_of(replica.leaf, current) for replica in self.replicas):
            self._store(replace(ca_secret, previous=(), lacks_previous=True))

    def plant(self, place: str, begin: int, end: int) -> None:
        """Put a CA into the Secret that was created with a wrong clock: `begin` and `end` are in days from now."""
        days = datetime.timedelta(days=1)
        planted = Authority.create(max(self.now + begin * days, NOT_BEFORE), self.now + max(end, begin + 1) * days)
        if self.ca_secret is None or place == "alone":
            self._store(CaSecret(planted))
        elif self.ca_secret.next is None:
            self._store(replace(self.ca_secret, next=planted))

    def spoil_bundle(self, foreign: bool) -> None:
        spoilt = frozenset([FOREIGN.parsed]) if foreign else frozenset[x509.Certificate]()
        self._set_bundles((spoilt, *self.bundles[1:]))
        self.disturbed = True

    def ask_for_rotation(self) -> None:
        self.requested = f"{self.seconds}"

    def jump(self, index: int, days: int) -> None:
        self.replicas[index].offset = datetime.timedelta(days=days)

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        self.check()

    # Invariants

    def check(self) -> None:
        """Check that each bundle that an API server may have now verifies the leaf of every ready replica."""
        if self.disturbed:
            return
        live = [self.bundles] + [bundles for until, bundles in self.past if until > self.seconds - LAG]
        for replica in self.replicas:
            leaf = replica.leaf
            if leaf is None or leaf.ends <= self.now:
                continue
            for bundle in (bundle for bundles in live for bundle in bundles):
                assert is_of(leaf, bundle)

    def settle(self) -> None:
        """Let all replicas work without failures until nothing is left to do."""
        for replica in self.replicas:
            replica.offset = datetime.timedelta()
        for pause in (
            0.0,
            1.0,
            SETTINGS.propagation,
            60.0,
            3600.0,
            SETTINGS.retirement,
            1.0,
            SETTINGS.propagation,
            3600.0,
        ):
            for _ in range(4):
                self.seconds += pause / 4
                for index in range(len(self.replicas)):
                    for _ in range(6):
                        self.act(index)

    def is_settled(self, index: int) -> bool:
        replica = self.replicas[index]
        ca_secret = self.ca_secret
        if ca_secret is None or ca_secret.current is None or ca_secret.next is not None:
            return False
        is_long = ca_secret.current.ends > self.now + SETTINGS.ca_validity + SETTINGS.skew
        return not is_long and is_accepted(replica.leaf, self.bundles, HOST, self.now)


@lru_cache(maxsize=10_000)
def is_of(leaf: Leaf, bundle: Bundle) -> bool:
    """Return whether a bundle verifies a leaf that has not expired."""
    return not rejection_reason(leaf, tuple(bundle), HOST, leaf.ends - datetime.timedelta(seconds=1))


FOREIGN = Authority.create(NOT_BEFORE, START + datetime.timedelta(days=9000), "somebody else's CA")


def settled() -> World:
    """Return a world whose replicas have settled."""
    return deepcopy(_settled())


@cache
def _settled() -> World:
    world = World()
    world.settle()
    world.past.clear()
    return world
