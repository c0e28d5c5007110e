"""Plans what to restart, what to leave to users, and whether to start at all: pure."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence

import msgspec

from webhook.inspection.diagnostics import Diagnostic, DiagnosticCode, Severity
from webhook.inspection.installation_checks import check_installation, permission_missing, running_versions
from webhook.inspection.snapshot import NotPermitted, Snapshot
from webhook.inspection.verdict import BLOCKING, overall_verdict
from webhook.repair.damage import Damage, Owner, find_damage, owner_of
from webhook.repair.hindrances import Hindrance
from webhook.repair.owners import Look, hindered, hindered_by_itself

_STOPS = BLOCKING | {DiagnosticCode.NOT_INSTALLED, DiagnosticCode.NO_ENTRIES}


class Hindered(msgspec.Struct, frozen=True):
    """An owner to be fixed by hand."""

    damage: Damage
    hindrance: Hindrance


class Plan(msgspec.Struct, frozen=True):
    """What to do, in this order."""

    restarts: list[Damage]
    by_hand: list[Hindered]


class Wait(msgspec.Struct, frozen=True):
    """Why no restart may start, what to do about it, and the exit code."""

    sentence: str
    advice: str
    exit_code: int = 1


class Choice(msgspec.Struct, frozen=True):
    """The selected owners; everything if nothing is selected."""

    namespaces: frozenset[str] = frozenset()
    owners: frozenset[tuple[str, str]] = frozenset()
    """Kind (lower case) and name."""

    def has(self, owner: Owner) -> bool:
        """Tell whether an owner is selected."""
        if self.namespaces and owner.namespace not in self.namespaces:
            return False
        return not self.owners or (owner.kind.lower(), owner.name) in self.owners


def chosen_damage(snapshot: Snapshot, choice: Choice) -> list[Damage]:
    """Return the selected owners with pods to recreate, in the order of their restarts."""
    return [damage for damage in find_damage(snapshot) if choice.has(damage.owner)]


def unknown_owners(snapshot: Snapshot, choice: Choice) -> list[str]:
    """Return the selected owners without any pod: a typo must not look like success."""
    if isinstance(snapshot.pods, NotPermitted):
        return []
    there = Choice(choice.namespaces)
    known = {(owner.kind.lower(), owner.name) for owner in map(owner_of, snapshot.pods) if there.has(owner)}
    return [f"{kind}/{name}" for kind, name in sorted(choice.owners - known)]


def to_look_at(damages: Sequence[Damage]) -> list[Damage]:
    """Return the owners that must be read to tell whether they can be restarted."""
    return [damage for damage in damages if hindered_by_itself(damage) is None]


def make_plan(damages: Sequence[Damage], looks: Mapping[Owner, Look], snapshot: Snapshot) -> Plan:
    """Plan the restarts, given the state of the owners."""
    plan = Plan([], [])
    for damage in damages:
        hindrance = hindered_by_itself(damage) or hindered(damage, looks.get(damage.owner), snapshot)
        if hindrance:
            plan.by_hand.append(Hindered(damage, hindrance))
        else:
            plan.restarts.append(damage)
    return plan


def why_wait(snapshot: Snapshot, now: datetime.datetime) -> Wait | None:
    """Return why restarts would be useless now: new pods would be unprotected again, or missing."""
    conclusions = list(check_installation(snapshot, now))
    rights = [each for each in conclusions if each.fact is DiagnosticCode.RIGHT_MISSING]
    rights += [
        permission_missing(each) for each in (snapshot.namespaces, snapshot.pods) if isinstance(each, NotPermitted)
    ]
    stops = [each for each in conclusions if each.fact in _STOPS]
    if stops:
        sentence = overall_verdict([each for each in conclusions if each.fact.weight is not Severity.UNKNOWN]).sentence
        return Wait(f"{sentence} {stops[0].sentence}", stops[0].advice)
    if rights:
        return _blind(rights)
    versions = sorted(set(running_versions(snapshot)))
    if len(versions) > 1:
        names = f"-n {snapshot.names.namespace} rollout status"
        return Wait(
            f"The webhook itself is being rolled out ({', '.join(versions)}): new pods may get the older injection.",
            f"kubectl {names} deployment; then run repair again",
        )
    return None


def _blind(rights: Collection[Diagnostic]) -> Wait:
    named = dict.fromkeys(str(each.values["right"]) for each in rights)
    return Wait(
        f"Not everything could be read: permissions missing: {'; '.join(named)}.",
        "obtain these permissions (--help lists all)",
        2,
    )
