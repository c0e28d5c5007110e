"""The rotation of the CA as a state machine: what one replica does next, given what it sees. No I/O, no clock.

Every replica runs it; there is no leader. What they share is the Secret (`Vault`) and the bundles of the live
configuration; each changes them only in the version that it has read. A CA goes through these states in the vault:

    next      belongs into the bundles; signs nothing yet
    current   signs the leaves
    previous  signs no more; stays in the bundles until no leaf of it can be left
    dropped   no leaf of it was left; may stay in the bundles, and is taken out by whoever knows that

There is never a gap, because of these rules:

1. The bundles hold all CAs of the vault. A replica reads the bundles first and the vault after that, and a CA is in the
   vault before it is in a bundle: so whoever acts on an old view finds that the bundles have changed since.
2. `next` becomes `current` only by a replica that has seen it in all bundles for a while: API servers learn of a change
   by a watch, and not all at once.
3. A replica signs with `current` only when it has seen the Secret in one version for a while, and that CA in all
   bundles.
4. `previous` becomes `dropped` only by a replica that has seen the Secret in one version for longer than a leaf lives.
   A dropped CA is taken out of the bundles only by that replica, and only while the Secret is in the version that it
   has written; or by one that has seen it `dropped` for longer than a leaf lives.
5. A CA of ours that is in a bundle but not in the vault (a Secret that was lost, or restored from a backup) may have
   leaves: it becomes `previous` instead of being thrown out. Whoever distrusts one removes `previous.crt` by hand.

The Secret may be replaced by an older one at any time, again and again. Only 4 takes a CA away, so this is all there is
to show: whoever does it knows of a time, longer than a leaf lives, in which the Secret did not change (a version never
comes back), and that CA was not `current`. So nobody could sign with it in that time, nor can anybody later, until the
Secret changes once more; and whoever signs by a Secret that has changed waits (3) until a removal that was on its way
has come through, and sees it.

Wall clocks are wrong. Rules 2 to 4 count on a clock that only goes on. Certificates begin long ago, so that none is in
the future for whoever checks it, and end by the clock of the API server, which checks them. Besides:

6. A replica whose clock differs from the API server's makes no CA, as nobody knows which one is wrong: another replica
   will. Only where there is no CA that either clock takes for valid, nothing can be lost, and the API server's counts.
7. A CA that is not valid yet, or for longer than the terms say, was made by a wrong clock: as `next` it becomes
   `previous`, and another one takes its place; as `current` it is rotated.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.x509.oid import NameOID

from certs.authority import COMMON_NAME, Authority, Leaf
from certs.capability import capability_path
from certs.terms import Terms
from certs.verification import refusal

BEGIN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
"""Since when our certificates are valid: before anybody's clock."""
MOST_PREVIOUS = 5
"""CAs that may wait for their end in the bundles: rotations that are asked for faster than that have to wait, too."""
SHORTEST_WAIT = 1.0
LONGEST_WAIT = 60.0
"""Seconds after which a replica looks anew though it was told of no change: the watch may have missed it."""


@dataclass(frozen=True)
class Vault:
    """What the Secret holds; `current` is None until the first CA has been published."""

    current: Authority | None = None
    next: Authority | None = None
    previous: tuple[x509.Certificate, ...] = ()
    rotated: str = ""
    """The request for a rotation that was carried out last."""
    dropped: tuple[x509.Certificate, ...] = ()
    forgets: bool = False
    """Whether somebody has removed the previous CAs by hand: replicas always write that there are none."""

    @property
    def trusted(self) -> frozenset[x509.Certificate]:
        """The CAs that belong into every bundle."""
        return frozenset([*(authority.parsed for authority in self._signers), *self.previous])

    @property
    def path(self) -> str:
        """The path that belongs into every entry: that of `next`, so that API servers know it when it is `current`."""
        return capability_path(self._signers[-1])

    @property
    def paths(self) -> frozenset[str]:
        """The paths by which the API server is known."""
        return frozenset(map(capability_path, self._signers))

    @property
    def _signers(self) -> list[Authority]:
        return [authority for authority in (self.current, self.next) if authority]


@dataclass(frozen=True)
class Sight:
    """What a replica sees and has."""

    now: datetime.datetime
    """The API server's time when the replica began to look."""
    own: datetime.datetime
    """The replica's own time then."""
    bundles: Sequence[frozenset[x509.Certificate]]
    """The live bundle of every entry of the configuration; none where that is not installed."""
    vault: Vault | None
    """None where the Secret is absent, empty or unusable."""
    requested: str
    """The request for a rotation that stands in the Secret; empty where there is none."""
    known: Vault | None
    """The vault that this replica saw before."""
    unchanged: float
    """Seconds since this replica saw another version of the Secret."""
    published: float
    """Seconds since this replica saw other bundles."""
    wrote: bool
    """Whether the Secret is as this replica has written it when it dropped CAs."""
    leaf: Leaf | None
    """What it serves."""
    host: str
    """The name by which the API server calls it."""
    paths: Sequence[str | None] = ()
    """The path that every entry calls; None where it leads elsewhere, which is none of ours."""


@dataclass(frozen=True)
class Write:
    """Put a vault into the Secret, in the version that was read."""

    vault: Vault
    why: str
    drops: bool = False
    """Whether the writer may take the dropped CAs out of the bundles, as long as the Secret stays in this version."""


@dataclass(frozen=True)
class Publish:
    """Put these CAs into every bundle, and the path into every entry, in the version that was read."""

    certificates: frozenset[x509.Certificate]
    path: str
    removes: bool = False
    """Whether a dropped CA goes: then, within `Terms.removal` of the look, or not at all."""


@dataclass(frozen=True)
class Sign:
    """Sign a leaf of one's own that ends at a time, and serve it."""

    authority: Authority
    end: datetime.datetime


@dataclass(frozen=True)
class Wait:
    """Do nothing for some seconds, unless something changes."""

    seconds: float


Step = Write | Publish | Sign | Wait


def next_step(sight: Sight, terms: Terms) -> Step:
    """Decide what to do next."""
    vault = sight.vault
    if vault is None:
        return _found(sight, terms)
    if vault.forgets:
        return _forget(sight, vault)
    strays = tuple(_strays(sight, vault))
    if strays:
        return Write(replace(vault, previous=(*vault.previous, *strays)), "a bundle holds a CA of ours that was lost")
    left = _left(sight, vault)
    may_remove = sight.wrote or sight.unchanged >= terms.retirement
    wanted = vault.trusted if may_remove else vault.trusted | left
    if any(bundle != wanted for bundle in sight.bundles) or any(path not in (None, vault.path) for path in sight.paths):
        return Publish(wanted, vault.path, removes=may_remove and bool(left))
    if not sight.bundles:
        return Wait(LONGEST_WAIT)
    step = _signed(sight, vault, terms) or _advance(sight, vault, terms)
    return Wait(min(step.seconds, _until_due(sight, terms))) if isinstance(step, Wait) else step


def remembered(known: Vault | None, vault: Vault | None) -> Vault | None:
    """Return what a replica keeps in mind: where somebody has removed something by hand, what there was before."""
    return known if vault is None or (vault.forgets and known is not None) else vault


def is_served_well(
    leaf: Leaf | None, bundles: Sequence[frozenset[x509.Certificate]], host: str, now: datetime.datetime
) -> bool:
    """Tell whether the API server accepts the leaf: every live bundle verifies it."""
    return leaf is not None and bool(bundles) and not any(refusal(leaf, tuple(b), host, now) for b in bundles)


def _found(sight: Sight, terms: Terms) -> Write:
    """Fill an empty Secret: with what was there before, else with a new CA beside those that are trusted already."""
    if sight.known is not None:
        return Write(sight.known, "the Secret was lost")
    return Write(Vault(next=_create(sight, terms), previous=tuple(_all(sight.bundles))), "there was no CA")


def _forget(sight: Sight, vault: Vault) -> Write:
    """Drop what was removed by hand, if that is all that has changed: a Secret that was restored may lack it, too."""
    known = sight.known
    by_hand = known is not None and (known.current, known.next) == (vault.current, vault.next)
    forgotten = frozenset((*known.previous, *known.dropped) if known and by_hand else ()) - vault.trusted
    others = tuple(c for c in _strays(sight, replace(vault, dropped=())) if c not in forgotten)
    why = "the previous CAs were removed by hand" if forgotten else "the Secret did not say which CAs were before"
    written = replace(vault, previous=(*vault.previous, *others), dropped=tuple(forgotten), forgets=False)
    return Write(written, why, drops=bool(forgotten))


def _left(sight: Sight, vault: Vault) -> frozenset[x509.Certificate]:
    """Find CAs that were dropped and are live."""
    return frozenset(vault.dropped) & _all(sight.bundles) - vault.trusted


def _strays(sight: Sight, vault: Vault) -> Iterator[x509.Certificate]:
    """Find CAs of ours that are live but not in the vault."""
    for certificate in _all(sight.bundles) - vault.trusted - frozenset(vault.dropped):
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if any(name.value == COMMON_NAME for name in names):
            yield certificate


def _signed(sight: Sight, vault: Vault, terms: Terms) -> Step | None:
    """Decide whether to sign a leaf; all bundles hold all of the vault here."""
    if vault.current is None or not vault.current.begins <= sight.now < vault.current.ends:
        return None
    sign = Sign(vault.current, min(sight.now + terms.leaf_validity, vault.current.ends))
    if sight.leaf and not refusal(sight.leaf, [vault.current.parsed], sight.host, sight.now):
        is_due = sight.leaf.ends - sight.now < terms.leaf_validity / 2
        if not is_due or sign.end <= sight.leaf.ends:
            return None
    missing = terms.propagation - min(sight.unchanged, sight.published)
    return sign if missing <= 0 else Wait(missing)


def _until_due(sight: Sight, terms: Terms) -> float:
    """Return the seconds until the leaf is to be signed anew; one cut short by its CA is looked at often."""
    if sight.leaf is None:
        return LONGEST_WAIT
    return max((sight.leaf.ends - sight.now - terms.leaf_validity / 2).total_seconds(), SHORTEST_WAIT)


def _advance(sight: Sight, vault: Vault, terms: Terms) -> Step:
    """Take the rotation one step on, once its time has come."""
    current = vault.current
    if vault.next is not None:
        return _promote(sight, vault, vault.next, terms)
    asked_for = sight.requested not in ("", vault.rotated)
    why = "a rotation was asked for" if asked_for else _why_due(current, sight.now, terms)
    has_room = len(vault.previous) + len(_left(sight, vault)) < MOST_PREVIOUS
    must_rotate = current is None or not _is_fit(current, sight.now, terms)
    if why and (has_room or must_rotate) and _may_make(sight, current, terms):
        return Write(replace(vault, next=_create(sight, terms), rotated=sight.requested), why)
    if not vault.previous:
        return Wait(LONGEST_WAIT)
    if sight.unchanged < terms.retirement:
        return Wait(min(terms.retirement - sight.unchanged, LONGEST_WAIT))
    dropped = replace(vault, previous=(), dropped=vault.previous)
    return Write(dropped, "no leaf of the previous CA is left", drops=True)


def _promote(sight: Sight, vault: Vault, following: Authority, terms: Terms) -> Step:
    if not _is_fit(following, sight.now, terms):
        if not _may_make(sight, vault.current, terms):
            return Wait(LONGEST_WAIT)
        # It may have been current, and have leaves, before an older Secret was restored.
        previous = (*vault.previous, following.parsed)
        return Write(
            replace(vault, next=_create(sight, terms), previous=previous), "the next CA was made by a wrong clock"
        )
    if sight.published < terms.propagation:
        return Wait(terms.propagation - sight.published)
    retired = (*((vault.current.parsed,) if vault.current else ()), *vault.previous)
    return Write(replace(vault, current=following, next=None, previous=retired), "the next CA is in every bundle")


def _all(bundles: Iterable[frozenset[x509.Certificate]]) -> frozenset[x509.Certificate]:
    return frozenset().union(*bundles)


def _create(sight: Sight, terms: Terms) -> Authority:
    return Authority.create(BEGIN, sight.now + terms.ca_validity)


def _may_make(sight: Sight, current: Authority | None, terms: Terms) -> bool:
    """Tell whether this replica may make a CA: by a clock that is right, or where nothing can be lost."""
    is_over = current is None or current.ends <= min(sight.now, sight.own)
    return is_over or abs(sight.own - sight.now) <= terms.skew


def _is_fit(authority: Authority, now: datetime.datetime, terms: Terms) -> bool:
    """Tell whether a CA is valid now, and for no longer than one that is made now."""
    return authority.begins <= now < authority.ends <= now + terms.ca_validity + terms.skew


def _why_due(authority: Authority | None, now: datetime.datetime, terms: Terms) -> str:
    """Say why a CA needs a successor; empty where it does not."""
    if authority is None:
        return "there was no CA"
    if authority.ends - now < terms.ca_validity / 3:
        return "the CA comes of age"
    return "" if _is_fit(authority, now, terms) else "the CA was made by a wrong clock"
