"""The rotation of the CA as a state machine: what one replica does next, given what it sees. No I/O, no clock.

Every replica runs it; there is no leader. Replicas share the Secret (`CaSecret`) and the bundles of the live
configuration, and change each only in the version that they have read. In the Secret, a CA passes through these states:

    next      belongs in the bundles; does not sign yet
    current   signs the server certificates ("leaves")
    previous  no longer signs; stays in the bundles until all its leaves have expired
    dropped   has no leaves; may still be in the bundles, and is removed by replicas that know this

There is never a gap, because of these rules:

1. The bundles contain all CAs of the Secret. A replica reads the bundles first and then the Secret, and a CA is added
   to the Secret before it is added to a bundle. So a replica that acts on an outdated view finds the bundles changed.
2. `next` becomes `current` only by a replica that has seen it in all bundles for a while: API servers learn about a
   change from a watch, and not all at the same time.
3. A replica signs with `current` only after it has seen the Secret unchanged for a while, and that CA in all bundles.
4. `previous` becomes `dropped` only by a replica that has seen the Secret unchanged for longer than the lifetime of a
   leaf. Only that replica may remove the dropped CA from the bundles, and only while the Secret is in the version that
   it has written. So may a replica that has seen the CA as `dropped` for longer than the lifetime of a leaf.
5. One of our CAs in a bundle but not in the Secret (the Secret was lost, or restored from a backup) may have leaves, so
   it becomes `previous` instead of being removed. To distrust a CA, remove `previous.crt` manually.

The Secret may be replaced by an older one at any time, repeatedly. Only rule 4 removes a CA, so this is all there is to
prove: for longer than the lifetime of a leaf, the Secret did not change (a version never repeats), and the CA was not
`current`. So no replica could sign with it then, nor can one sign later until the Secret
changes again. A replica that signs after such a change first waits (rule 3) until pending removals are visible.

Wall clocks may be wrong. Rules 2 to 4 use a monotonic clock. The validity of certificates starts far in the past, so
that they are never in the future, and ends by the clock of the API server, which verifies them. In addition:

6. A replica whose clock differs from the API server's does not create a CA, because it is unknown which clock is wrong:
   another replica will create it. Only if neither clock considers any CA valid, the API server's clock decides, because
   nothing can be lost.
7. A CA that is not valid yet, or valid for longer than configured, was created by a wrong clock. As `next`, it becomes
   `previous` and is replaced; as `current`, it is rotated.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from certs.authority import COMMON_NAME, NOT_BEFORE, Authority
from certs.ca_secret import CaSecret
from certs.certificate import Leaf, rejection_reason
from certs.rotation_settings import RotationSettings

MAX_PREVIOUS = 5
"""Maximum number of previous CAs in the bundles; more frequent rotations have to wait."""
MIN_WAIT = 1.0
MAX_WAIT = 60.0
"""Seconds until a replica observes again without a reported change, in case the watch missed one."""


class Observation(msgspec.Struct, frozen=True):
    """What a replica observes and has."""

    now: datetime.datetime
    """The API server's time at the start of the observation."""
    own: datetime.datetime
    """The replica's own time at that moment."""
    bundles: Sequence[frozenset[x509.Certificate]]
    """The live bundle of every entry; none if the configuration is not installed."""
    ca_secret: CaSecret | None
    """None if the Secret is absent, empty or unusable."""
    requested: str
    """The rotation request in the Secret; empty if there is none."""
    known: CaSecret | None
    """The content of the Secret that this replica observed before."""
    unchanged: float
    """Seconds since this replica observed a different version of the Secret."""
    published: float
    """Seconds since this replica observed different bundles."""
    dropped_by_us: bool
    """Whether the Secret is unchanged since this replica dropped CAs."""
    leaf: Leaf | None
    """What it serves."""
    host: str
    """The host name that the API server uses."""
    paths: Sequence[str | None] = ()
    """The path that every entry calls; None if an entry calls something else."""


class Write(msgspec.Struct, frozen=True):
    """Write to the Secret, in the version that was read."""

    ca_secret: CaSecret
    why: str
    drops: bool = False
    """Whether the writer may remove the dropped CAs from the bundles while the Secret stays in this version."""


class Publish(msgspec.Struct, frozen=True):
    """Write these CAs to every bundle, and the path to every entry, in the version that was read."""

    certificates: frozenset[x509.Certificate]
    path: str
    removes: bool = False
    """Whether this removes a dropped CA: only within `RotationSettings.removal` of the observation, or not at all."""


class Sign(msgspec.Struct, frozen=True):
    """Sign an own certificate that expires at a time, and serve it."""

    authority: Authority
    end: datetime.datetime


class Wait(msgspec.Struct, frozen=True):
    """Wait for some seconds, unless something changes."""

    seconds: float


Step = Write | Publish | Sign | Wait


def next_step(observation: Observation, settings: RotationSettings) -> Step:
    """Decide what to do next."""
    ca_secret = observation.ca_secret
    if ca_secret is None:
        return _initialize(observation, settings)
    if ca_secret.lacks_previous:
        return _drop_removed(observation, ca_secret)
    unlisted = tuple(_unlisted_cas(observation, ca_secret))
    if unlisted:
        return Write(
            replace(ca_secret, previous=(*ca_secret.previous, *unlisted)),
            "a caBundle contains a CA of ours that the Secret had lost",
        )
    left = _dropped_but_live(observation, ca_secret)
    may_remove = observation.dropped_by_us or observation.unchanged >= settings.retirement
    wanted = ca_secret.trusted if may_remove else ca_secret.trusted | left
    if any(bundle != wanted for bundle in observation.bundles) or any(
        path not in (None, ca_secret.path) for path in observation.paths
    ):
        return Publish(wanted, ca_secret.path, removes=may_remove and bool(left))
    if not observation.bundles:
        return Wait(MAX_WAIT)
    step = _renew_leaf(observation, ca_secret, settings) or _advance(observation, ca_secret, settings)
    return Wait(min(step.seconds, _seconds_until_renewal(observation, settings))) if isinstance(step, Wait) else step


def last_known(known: CaSecret | None, ca_secret: CaSecret | None) -> CaSecret | None:
    """Return what a replica remembers: after a manual removal, the content before it."""
    return known if ca_secret is None or (ca_secret.lacks_previous and known is not None) else ca_secret


def is_accepted(
    leaf: Leaf | None, bundles: Sequence[frozenset[x509.Certificate]], host: str, now: datetime.datetime
) -> bool:
    """Tell whether the API server accepts the certificate: every live bundle verifies it."""
    return leaf is not None and bool(bundles) and not any(rejection_reason(leaf, tuple(b), host, now) for b in bundles)


def _initialize(observation: Observation, settings: RotationSettings) -> Write:
    """Fill an empty Secret with its previous content, or with a new CA in addition to the trusted ones."""
    if observation.known is not None:
        return Write(observation.known, "the Secret was lost")
    return Write(
        CaSecret(next=_create_ca(observation, settings), previous=tuple(_union(observation.bundles))), "there was no CA"
    )


def _drop_removed(observation: Observation, ca_secret: CaSecret) -> Write:
    """Drop manually removed CAs if nothing else has changed: a restored Secret may lack them, too."""
    known = observation.known
    is_manual = known is not None and (known.current, known.next) == (ca_secret.current, ca_secret.next)
    removed = frozenset((*known.previous, *known.dropped) if known and is_manual else ()) - ca_secret.trusted
    others = tuple(c for c in _unlisted_cas(observation, replace(ca_secret, dropped=())) if c not in removed)
    why = "the previous CAs were removed manually" if removed else "the Secret did not list the previous CAs"
    written = replace(ca_secret, previous=(*ca_secret.previous, *others), dropped=tuple(removed), lacks_previous=False)
    return Write(written, why, drops=bool(removed))


def _dropped_but_live(observation: Observation, ca_secret: CaSecret) -> frozenset[x509.Certificate]:
    return frozenset(ca_secret.dropped) & _union(observation.bundles) - ca_secret.trusted


def _unlisted_cas(observation: Observation, ca_secret: CaSecret) -> Iterator[x509.Certificate]:
    """Find our CAs that are live but not in the Secret."""
    for certificate in _union(observation.bundles) - ca_secret.trusted - frozenset(ca_secret.dropped):
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if any(name.value == COMMON_NAME for name in names):
            yield certificate


def _renew_leaf(observation: Observation, ca_secret: CaSecret, settings: RotationSettings) -> Step | None:
    """Decide whether to sign a certificate; at this point, all bundles contain all CAs of the Secret."""
    if ca_secret.current is None or not ca_secret.current.begins <= observation.now < ca_secret.current.ends:
        return None
    sign = Sign(ca_secret.current, min(observation.now + settings.leaf_validity, ca_secret.current.ends))
    if observation.leaf and not rejection_reason(
        observation.leaf, [ca_secret.current.parsed], observation.host, observation.now
    ):
        is_due = observation.leaf.ends - observation.now < settings.leaf_validity / 2
        if not is_due or sign.end <= observation.leaf.ends:
            return None
    missing = settings.propagation - min(observation.unchanged, observation.published)
    return sign if missing <= 0 else Wait(missing)


def _seconds_until_renewal(observation: Observation, settings: RotationSettings) -> float:
    """Return the seconds until the certificate must be renewed; if its CA limits it, check often."""
    if observation.leaf is None:
        return MAX_WAIT
    return max((observation.leaf.ends - observation.now - settings.leaf_validity / 2).total_seconds(), MIN_WAIT)


def _advance(observation: Observation, ca_secret: CaSecret, settings: RotationSettings) -> Step:
    current = ca_secret.current
    if ca_secret.next is not None:
        return _promote(observation, ca_secret, ca_secret.next, settings)
    asked_for = observation.requested not in ("", ca_secret.rotated)
    why = "a rotation was requested" if asked_for else _renewal_reason(current, observation.now, settings)
    has_room = len(ca_secret.previous) + len(_dropped_but_live(observation, ca_secret)) < MAX_PREVIOUS
    must_rotate = current is None or not _is_valid(current, observation.now, settings)
    if why and (has_room or must_rotate) and _may_create_ca(observation, current, settings):
        return Write(replace(ca_secret, next=_create_ca(observation, settings), rotated=observation.requested), why)
    if not ca_secret.previous:
        return Wait(MAX_WAIT)
    if observation.unchanged < settings.retirement:
        return Wait(min(settings.retirement - observation.unchanged, MAX_WAIT))
    dropped = replace(ca_secret, previous=(), dropped=ca_secret.previous)
    return Write(dropped, "no certificate of the previous CA is left", drops=True)


def _promote(observation: Observation, ca_secret: CaSecret, following: Authority, settings: RotationSettings) -> Step:
    if not _is_valid(following, observation.now, settings):
        if not _may_create_ca(observation, ca_secret.current, settings):
            return Wait(MAX_WAIT)
        # It may have been current, and have signed certificates, before an older Secret was restored.
        previous = (*ca_secret.previous, following.parsed)
        return Write(
            replace(ca_secret, next=_create_ca(observation, settings), previous=previous),
            "the next CA was created by a wrong clock",
        )
    if observation.published < settings.propagation:
        return Wait(settings.propagation - observation.published)
    retired = (*((ca_secret.current.parsed,) if ca_secret.current else ()), *ca_secret.previous)
    return Write(replace(ca_secret, current=following, next=None, previous=retired), "the next CA is in every bundle")


def _union(bundles: Iterable[frozenset[x509.Certificate]]) -> frozenset[x509.Certificate]:
    return frozenset().union(*bundles)


def _create_ca(observation: Observation, settings: RotationSettings) -> Authority:
    return Authority.create(NOT_BEFORE, observation.now + settings.ca_validity)


def _may_create_ca(observation: Observation, current: Authority | None, settings: RotationSettings) -> bool:
    """Tell whether this replica may create a CA: its clock must be right, or nothing can be lost."""
    is_over = current is None or current.ends <= min(observation.now, observation.own)
    return is_over or abs(observation.own - observation.now) <= settings.skew


def _is_valid(authority: Authority, now: datetime.datetime, settings: RotationSettings) -> bool:
    """Tell whether a CA is valid now, and not for longer than one created now."""
    return authority.begins <= now < authority.ends <= now + settings.ca_validity + settings.skew


def _renewal_reason(authority: Authority | None, now: datetime.datetime, settings: RotationSettings) -> str:
    """Return why a CA needs a successor; empty if it does not."""
    if authority is None:
        return "there was no CA"
    if authority.ends - now < settings.ca_validity / 3:
        return "the CA is due for renewal"
    return "" if _is_valid(authority, now, settings) else "the CA was created by a wrong clock"
