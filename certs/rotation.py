"""The rotation of the CA as a state machine: what one replica does next, given what it sees. No I/O, no clock.

Every replica runs it; there is no leader. Replicas share the Secret (`CaSecret`) and the bundles of the live
configuration, and change each only in the version that they have read. In the vault, a CA passes through these states:

    next      belongs in the bundles; does not sign yet
    current   signs the server certificates ("leaves")
    previous  no longer signs; stays in the bundles until all its leaves have expired
    dropped   has no leaves; may still be in the bundles, and is removed by replicas that know this

There is never a gap, because of these rules:

1. The bundles contain all CAs of the vault. A replica reads the bundles first and then the vault, and a CA is added to
   the vault before it is added to a bundle. So a replica that acts on an outdated view finds the bundles changed.
2. `next` becomes `current` only by a replica that has seen it in all bundles for a while: API servers learn about a
   change from a watch, and not all at the same time.
3. A replica signs with `current` only after it has seen the Secret unchanged for a while, and that CA in all bundles.
4. `previous` becomes `dropped` only by a replica that has seen the Secret unchanged for longer than the lifetime of a
   leaf. Only that replica may remove the dropped CA from the bundles, and only while the Secret is in the version that
   it has written. So may a replica that has seen the CA as `dropped` for longer than the lifetime of a leaf.
5. One of our CAs in a bundle but not in the vault (the Secret was lost, or restored from a backup) may have leaves, so
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
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.x509.oid import NameOID

from certs.authority import COMMON_NAME, NOT_BEFORE, Authority
from certs.ca_secret import CaSecret
from certs.certificate import Leaf, rejection_reason
from certs.terms import Terms

MOST_PREVIOUS = 5
"""Maximum number of previous CAs in the bundles; more frequent rotations have to wait."""
SHORTEST_WAIT = 1.0
LONGEST_WAIT = 60.0
"""Seconds until a replica observes again without a reported change, in case the watch missed one."""


@dataclass(frozen=True)
class Sight:
    """What a replica observes and has."""

    now: datetime.datetime
    """The API server's time at the start of the observation."""
    own: datetime.datetime
    """The replica's own time at that moment."""
    bundles: Sequence[frozenset[x509.Certificate]]
    """The live bundle of every entry; none if the configuration is not installed."""
    vault: CaSecret | None
    """None if the Secret is absent, empty or unusable."""
    requested: str
    """The rotation request in the Secret; empty if there is none."""
    known: CaSecret | None
    """The content of the Secret that this replica observed before."""
    unchanged: float
    """Seconds since this replica observed a different version of the Secret."""
    published: float
    """Seconds since this replica observed different bundles."""
    wrote: bool
    """Whether the Secret is unchanged since this replica dropped CAs."""
    leaf: Leaf | None
    """What it serves."""
    host: str
    """The host name that the API server uses."""
    paths: Sequence[str | None] = ()
    """The path that every entry calls; None if an entry calls something else."""


@dataclass(frozen=True)
class Write:
    """Write to the Secret, in the version that was read."""

    vault: CaSecret
    why: str
    drops: bool = False
    """Whether the writer may remove the dropped CAs from the bundles while the Secret stays in this version."""


@dataclass(frozen=True)
class Publish:
    """Write these CAs to every bundle, and the path to every entry, in the version that was read."""

    certificates: frozenset[x509.Certificate]
    path: str
    removes: bool = False
    """Whether this removes a dropped CA: it must happen within `Terms.removal` of the observation, or not at all."""


@dataclass(frozen=True)
class Sign:
    """Sign an own certificate that expires at a time, and serve it."""

    authority: Authority
    end: datetime.datetime


@dataclass(frozen=True)
class Wait:
    """Wait for some seconds, unless something changes."""

    seconds: float


Step = Write | Publish | Sign | Wait


def next_step(sight: Sight, terms: Terms) -> Step:
    """Decide what to do next."""
    vault = sight.vault
    if vault is None:
        return _found(sight, terms)
    if vault.lacks_previous:
        return _forget(sight, vault)
    strays = tuple(_strays(sight, vault))
    if strays:
        return Write(
            replace(vault, previous=(*vault.previous, *strays)),
            "a caBundle contains a CA of ours that the Secret had lost",
        )
    left = _left(sight, vault)
    may_remove = sight.wrote or sight.unchanged >= terms.retirement
    wanted = vault.trusted if may_remove else vault.trusted | left
    if any(bundle != wanted for bundle in sight.bundles) or any(path not in (None, vault.path) for path in sight.paths):
        return Publish(wanted, vault.path, removes=may_remove and bool(left))
    if not sight.bundles:
        return Wait(LONGEST_WAIT)
    step = _signed(sight, vault, terms) or _advance(sight, vault, terms)
    return Wait(min(step.seconds, _until_due(sight, terms))) if isinstance(step, Wait) else step


def remembered(known: CaSecret | None, vault: CaSecret | None) -> CaSecret | None:
    """Return what a replica remembers: after a manual removal, the content before it."""
    return known if vault is None or (vault.lacks_previous and known is not None) else vault


def is_served_well(
    leaf: Leaf | None, bundles: Sequence[frozenset[x509.Certificate]], host: str, now: datetime.datetime
) -> bool:
    """Tell whether the API server accepts the certificate: every live bundle verifies it."""
    return leaf is not None and bool(bundles) and not any(rejection_reason(leaf, tuple(b), host, now) for b in bundles)


def _found(sight: Sight, terms: Terms) -> Write:
    """Fill an empty Secret with its previous content, or with a new CA in addition to the trusted ones."""
    if sight.known is not None:
        return Write(sight.known, "the Secret was lost")
    return Write(CaSecret(next=_create(sight, terms), previous=tuple(_all(sight.bundles))), "there was no CA")


def _forget(sight: Sight, vault: CaSecret) -> Write:
    """Drop manually removed CAs if nothing else has changed: a restored Secret may lack them, too."""
    known = sight.known
    by_hand = known is not None and (known.current, known.next) == (vault.current, vault.next)
    forgotten = frozenset((*known.previous, *known.dropped) if known and by_hand else ()) - vault.trusted
    others = tuple(c for c in _strays(sight, replace(vault, dropped=())) if c not in forgotten)
    why = "the previous CAs were removed manually" if forgotten else "the Secret did not list the previous CAs"
    written = replace(vault, previous=(*vault.previous, *others), dropped=tuple(forgotten), lacks_previous=False)
    return Write(written, why, drops=bool(forgotten))


def _left(sight: Sight, vault: CaSecret) -> frozenset[x509.Certificate]:
    """Find dropped CAs that are still live."""
    return frozenset(vault.dropped) & _all(sight.bundles) - vault.trusted


def _strays(sight: Sight, vault: CaSecret) -> Iterator[x509.Certificate]:
    """Find our CAs that are live but not in the Secret."""
    for certificate in _all(sight.bundles) - vault.trusted - frozenset(vault.dropped):
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if any(name.value == COMMON_NAME for name in names):
            yield certificate


def _signed(sight: Sight, vault: CaSecret, terms: Terms) -> Step | None:
    """Decide whether to sign a certificate; at this point, all bundles contain all CAs of the Secret."""
    if vault.current is None or not vault.current.begins <= sight.now < vault.current.ends:
        return None
    sign = Sign(vault.current, min(sight.now + terms.leaf_validity, vault.current.ends))
    if sight.leaf and not rejection_reason(sight.leaf, [vault.current.parsed], sight.host, sight.now):
        is_due = sight.leaf.ends - sight.now < terms.leaf_validity / 2
        if not is_due or sign.end <= sight.leaf.ends:
            return None
    missing = terms.propagation - min(sight.unchanged, sight.published)
    return sign if missing <= 0 else Wait(missing)


def _until_due(sight: Sight, terms: Terms) -> float:
    """Return the seconds until the certificate must be renewed; if its CA limits it, check often."""
    if sight.leaf is None:
        return LONGEST_WAIT
    return max((sight.leaf.ends - sight.now - terms.leaf_validity / 2).total_seconds(), SHORTEST_WAIT)


def _advance(sight: Sight, vault: CaSecret, terms: Terms) -> Step:
    """Advance the rotation one step, when it is time."""
    current = vault.current
    if vault.next is not None:
        return _promote(sight, vault, vault.next, terms)
    asked_for = sight.requested not in ("", vault.rotated)
    why = "a rotation was requested" if asked_for else _why_due(current, sight.now, terms)
    has_room = len(vault.previous) + len(_left(sight, vault)) < MOST_PREVIOUS
    must_rotate = current is None or not _is_fit(current, sight.now, terms)
    if why and (has_room or must_rotate) and _may_make(sight, current, terms):
        return Write(replace(vault, next=_create(sight, terms), rotated=sight.requested), why)
    if not vault.previous:
        return Wait(LONGEST_WAIT)
    if sight.unchanged < terms.retirement:
        return Wait(min(terms.retirement - sight.unchanged, LONGEST_WAIT))
    dropped = replace(vault, previous=(), dropped=vault.previous)
    return Write(dropped, "no certificate of the previous CA is left", drops=True)


def _promote(sight: Sight, vault: CaSecret, following: Authority, terms: Terms) -> Step:
    if not _is_fit(following, sight.now, terms):
        if not _may_make(sight, vault.current, terms):
            return Wait(LONGEST_WAIT)
        # It may have been current, and have signed certificates, before an older Secret was restored.
        previous = (*vault.previous, following.parsed)
        return Write(
            replace(vault, next=_create(sight, terms), previous=previous), "the next CA was created by a wrong clock"
        )
    if sight.published < terms.propagation:
        return Wait(terms.propagation - sight.published)
    retired = (*((vault.current.parsed,) if vault.current else ()), *vault.previous)
    return Write(replace(vault, current=following, next=None, previous=retired), "the next CA is in every bundle")


def _all(bundles: Iterable[frozenset[x509.Certificate]]) -> frozenset[x509.Certificate]:
    return frozenset().union(*bundles)


def _create(sight: Sight, terms: Terms) -> Authority:
    return Authority.create(NOT_BEFORE, sight.now + terms.ca_validity)


def _may_make(sight: Sight, current: Authority | None, terms: Terms) -> bool:
    """Tell whether this replica may create a CA: its clock must be right, or nothing can be lost."""
    is_over = current is None or current.ends <= min(sight.now, sight.own)
    return is_over or abs(sight.own - sight.now) <= terms.skew


def _is_fit(authority: Authority, now: datetime.datetime, terms: Terms) -> bool:
    """Tell whether a CA is valid now, and not for longer than one created now."""
    return authority.begins <= now < authority.ends <= now + terms.ca_validity + terms.skew


def _why_due(authority: Authority | None, now: datetime.datetime, terms: Terms) -> str:
    """Return why a CA needs a successor; empty if it does not."""
    if authority is None:
        return "there was no CA"
    if authority.ends - now < terms.ca_validity / 3:
        return "the CA is due for renewal"
    return "" if _is_fit(authority, now, terms) else "the CA was created by a wrong clock"
