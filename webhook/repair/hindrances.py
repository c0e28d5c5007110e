"""Why an owner is not restarted, and what to do instead: the vocabulary."""

from __future__ import annotations

from enum import Enum

import msgspec

from webhook.repair.damage import Damage


class Obstacle(Enum):
    """An obstacle; its value is the code that scripts read."""

    sentence: str
    advice: str

    def __new__(cls, code: str, sentence: str, advice: str) -> Obstacle:
        """Make the code the member's value; `{name}` in sentence and advice stands for a value."""
        member = object.__new__(cls)
        member._value_ = code
        member.sentence = sentence
        member.advice = advice
        return member

    # What new pods would be.
    REFUSED = (
        "refused",
        "New pods would be refused: {verdict}",
        "kubectl -n {namespace} get {argument} -o yaml | graceful-worker explain -f -",
    )
    LEFT_ALONE = (
        "left-alone",
        "New pods would be left alone: {verdict}",
        "kubectl -n {namespace} get {argument} -o yaml | graceful-worker explain -f -",
    )
    NOT_SENT = (
        "not-sent",
        "By the labels of namespace and pod template, new pods would not be sent to the webhook.",
        "write graceful-worker: enabled into the pod template, if they are workers",
    )
    MISLABELLED = (
        "mislabelled",
        "The label graceful-worker of its pods has a value that means nothing.",
        "write graceful-worker: enabled into the pod template",
    )
    UNRECORDED = (
        "unrecorded",
        "Its pods bear the label graceful-worker/injected, but no record of an injection.",
        "take this label out of the manifest, and apply it",
    )
    IN_MANIFEST = (
        "in-manifest",
        "The older injection is part of its manifest, so new pods would carry it, too.",
        "write the manifest anew: graceful-worker uninject, then inject, and apply it",
    )

    # Kinds that cannot be restarted.
    JOB = "job", "A Job is not restarted.", "let it run to its end: the pods of later Jobs are protected"
    BARE_POD = (
        "bare-pod",
        "Nothing creates this pod anew.",
        "delete it, and create it by its manifest: kubectl -n {namespace} delete pod {name}",
    )
    REPLICA_SET = (
        "replica-set",
        "A {kind} has no rollout, but replaces pods that are deleted.",
        "delete one after the other: kubectl -n {namespace} delete pod {pods}",
    )
    ARGO_ROLLOUT = (
        "argo-rollout",
        "Argo Rollouts restarts it.",
        "kubectl argo rollouts restart {name} -n {namespace}",
    )
    CUSTOM_CONTROLLER = (
        "custom-controller",
        "How a {kind} is restarted is known to its own controller alone.",
        "restart it as its documentation says",
    )

    # How the owner stands.
    UNSEEN = "unseen", "It cannot be looked at: you may not {right}.", "get this right (--help lists all)"
    GONE = (
        "gone",
        "The API group apps has no such {kind}: it was deleted, or another controller's kind has the same name.",
        "where it still exists, restart it as the documentation of its controller says",
    )
    ENDING = "ending", "It is being deleted.", "nothing: its pods end with it"
    PAUSED = (
        "paused",
        "Its rollout is paused.",
        "kubectl -n {namespace} rollout resume {argument}, which also rolls out what was changed in the pause",
    )
    ON_DELETE = (
        "on-delete",
        "Its update strategy is OnDelete: pods are replaced only when they are deleted.",
        "delete one after the other: kubectl -n {namespace} delete pod {pods}",
    )
    PARTITIONED = (
        "partitioned",
        "Its partition holds the pods below number {partition} back.",
        "set spec.updateStrategy.rollingUpdate.partition to 0, or delete pods yourself: "
        "kubectl -n {namespace} delete pod {pods}",
    )
    NOT_SETTLED = (
        "not-settled",
        "Its last rollout is not over: {says}.",
        "kubectl -n {namespace} rollout status {argument}; then run this again",
    )


class Hindrance(msgspec.Struct, frozen=True):
    """An obstacle that stands in the way of an owner, with its particulars."""

    obstacle: Obstacle
    values: dict[str, str]

    @property
    def sentence(self) -> str:
        """Say it in one line."""
        return self.obstacle.sentence.format_map(self.values)

    @property
    def advice(self) -> str:
        """What to do instead."""
        return self.obstacle.advice.format_map(self.values)


def hindrance(obstacle: Obstacle, damage: Damage, **values: str) -> Hindrance:
    """Put an obstacle in the way of an owner."""
    owner = damage.owner
    named = {
        "namespace": owner.namespace,
        "kind": owner.kind,
        "name": owner.name,
        "argument": owner.argument,
        "pods": " ".join(damage.pods),
    }
    return Hindrance(obstacle, {**named, **values})
