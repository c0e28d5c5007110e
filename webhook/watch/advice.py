"""The text of Events: what happened, and what to change."""

from __future__ import annotations

from importlib.resources import files

import msgspec

from webhook.core.annotations import LABEL, LABEL_ENABLED, LONGEST_DURATION
from webhook.core.ownership import Owner, owner_of, owner_uid_of
from webhook.core.pod import JsonObject
from webhook.drains.durations import annotation_duration
from webhook.drains.outcome import Outcome
from webhook.drains.tracker import DrainEnded
from webhook.watch.notices import Notice

QUIET_SECONDS = 600.0
UNPROTECTED_QUIET_SECONDS = 3600.0
UNPROTECTED = "PodUnprotected"
_RESTARTED = ("Deployment", "StatefulSet", "DaemonSet")


class Advice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table; advice.toml explains the fields."""

    outcome: Outcome
    reason: str
    text: str
    cause: str = ""


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    advice: list[Advice]


TABLE = msgspec.toml.decode(files(__package__).joinpath("advice.toml").read_bytes(), type=_Table).advice


def notice_of_end(ended: DrainEnded) -> Notice | None:
    """Return the notice about a drain; None if no action is needed."""
    pod = ended.pod
    advice = next(
        (each for each in TABLE if each.outcome is ended.result.outcome and each.cause in ("", ended.cause)), None
    )
    if advice is None:
        return None
    longer = annotation_duration(min(2 * pod.grace, LONGEST_DURATION))
    text = advice.text.format(pods="{pods}", period=ended.result.effective_period, grace=pod.grace, longer=longer)
    return Notice(pod.namespace, pod.owner, pod.owner_uid, pod.name, pod.uid, advice.reason, text, QUIET_SECONDS)


def notice_of_unprotected(pod: JsonObject) -> Notice:
    """Return the notice about a labelled pod that was created unprotected."""
    metadata = pod["metadata"]
    owner = owner_of(metadata)
    text = (
        f"{{pods}} created without protection, although labelled {LABEL}={LABEL_ENABLED}: the webhook was not called, "
        "or did not respond. Run graceful-worker status to see what is wrong. Then recreate the pods"
        f"{_restart(metadata['namespace'], owner)}."
    )
    return Notice(
        namespace=metadata["namespace"],
        owner=owner,
        owner_uid=owner_uid_of(metadata),
        pod=metadata["name"],
        pod_uid=metadata["uid"],
        reason=UNPROTECTED,
        text=text,
        quiet=UNPROTECTED_QUIET_SECONDS,
    )


def _restart(namespace: str, owner: Owner) -> str:
    if owner.kind not in _RESTARTED:
        return ""
    return f": kubectl -n {namespace} rollout restart {owner.kind.lower()}/{owner.name}"
