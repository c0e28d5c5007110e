"""The messages of Events: what happened, and what to change."""

from __future__ import annotations

import msgspec

from webhook.core.annotations import LABEL, LABEL_ENABLED, LONGEST_DURATION
from webhook.core.ownership import owner_of, owner_uid_of
from webhook.core.pod import JsonObject
from webhook.core.tables import load_table
from webhook.drains.durations import annotation_duration
from webhook.drains.outcome import Outcome
from webhook.drains.tracker import DrainEnded
from webhook.watch.event_aggregator import PodEvent

SUPPRESS_SECONDS = 600.0
UNPROTECTED_SUPPRESS_SECONDS = 3600.0
UNPROTECTED = "PodUnprotected"
_RESTARTABLE = ("Deployment", "StatefulSet", "DaemonSet")


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table; event_messages.toml explains the fields."""

    outcome: Outcome
    reason: str
    text: str
    cause: str = ""


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    message: list[Message]


MESSAGES = load_table(__name__, "event_messages.toml", _Table).message


def event_for_drain(ended: DrainEnded) -> PodEvent | None:
    """Return the Event about a drain; None if no action is needed."""
    pod = ended.pod
    message = next(
        (each for each in MESSAGES if each.outcome is ended.result.outcome and each.cause in ("", ended.cause)), None
    )
    if message is None:
        return None
    longer = annotation_duration(min(2 * pod.grace, LONGEST_DURATION))
    text = message.text.format(pods="{pods}", period=ended.result.effective_period, grace=pod.grace, longer=longer)
    return PodEvent(pod.namespace, pod.owner, pod.owner_uid, pod.name, pod.uid, message.reason, text, SUPPRESS_SECONDS)


def event_for_unprotected_pod(pod: JsonObject) -> PodEvent:
    """Return the Event about a labelled pod that was created unprotected."""
    metadata = pod["metadata"]
    namespace, owner = metadata["namespace"], owner_of(metadata)
    is_restartable = owner.kind in _RESTARTABLE
    command = f": kubectl -n {namespace} rollout restart {owner.kind.lower()}/{owner.name}" if is_restartable else ""
    text = (
        f"{{pods}} created without protection, although labelled {LABEL}={LABEL_ENABLED}: the webhook was not called, "
        f"or did not respond. Run graceful-worker status to see what is wrong. Then recreate the pods{command}."
    )
    return PodEvent(
        namespace=namespace,
        owner=owner,
        owner_uid=owner_uid_of(metadata),
        pod=metadata["name"],
        pod_uid=metadata["uid"],
        reason=UNPROTECTED,
        text=text,
        suppress_seconds=UNPROTECTED_SUPPRESS_SECONDS,
    )
