"""The reasons why an owner is not restarted, and what to do instead."""

from __future__ import annotations

from enum import Enum

import msgspec

from webhook.repair.damage import Damage


class Obstacle(Enum):
    """An obstacle; its value is the code for scripts."""

    sentence: str
    advice: str

    def __new__(cls, code: str, sentence: str, advice: str) -> Obstacle:
        """Make the code the member's value; `{name}` in sentence and advice is replaced by a value."""
        member = object.__new__(cls)
        member._value_ = code
        member.sentence = sentence
        member.advice = advice
        return member

    # About new pods.
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
        "The labels of namespace and pod template do not select new pods for the webhook.",
        "if they are workers, add the label graceful-worker: enabled to the pod template",
    )
    MISLABELLED = (
        "mislabelled",
        "The label graceful-worker of its pods has an invalid value.",
        "set the label graceful-worker: enabled in the pod template",
    )
    UNRECORDED = (
        "unrecorded",
        "Its pods have the label graceful-worker/injected, but no annotation graceful-worker/status.",
        "remove this label from the manifest, and apply it",
    )
    IN_MANIFEST = (
        "in-manifest",
        "The older injection is part of its manifest, so new pods would have it, too.",
        "renew the manifest with graceful-worker uninject, then inject, and apply it",
    )

    # About kinds that cannot be restarted.
    JOB = "job", "A Job cannot be restarted.", "let it finish: pods of later Jobs are protected"
    BARE_POD = (
        "bare-pod",
        "This pod has no controller to recreate it.",
        "delete it, and create it again from its manifest: kubectl -n {namespace} delete pod {name}",
    )
    REPLICA_SET = (
        "replica-set",
        "A {kind} has no rollouts, but replaces deleted pods.",
        "delete them one by one: kubectl -n {namespace} delete pod {pods}",
    )
    ARGO_ROLLOUT = (
        "argo-rollout",
        "It is restarted by Argo Rollouts.",
        "kubectl argo rollouts restart {name} -n {namespace}",
    )
    CUSTOM_CONTROLLER = (
        "custom-controller",
        "Only its own controller knows how to restart a {kind}.",
        "restart it as its documentation describes",
    )

    # About the state of the owner.
    UNSEEN = "unseen", "It cannot be read: permission missing: {right}.", "obtain this permission (--help lists all)"
    GONE = (
        "gone",
        "The API group apps has no such {kind}: it was deleted, or its kind belongs to another API group.",
        "if it still exists, restart it as its controller's documentation describes",
    )
    ENDING = "ending", "It is being deleted.", "nothing to do: its pods are deleted with it"
    PAUSED = (
        "paused",
        "Its rollout is paused.",
        "kubectl -n {namespace} rollout resume {argument}, which also rolls out changes made during the pause",
    )
    ON_DELETE = (
        "on-delete",
        "Its update strategy is OnDelete: pods are replaced only after they are deleted.",
        "delete them one by one: kubectl -n {namespace} delete pod {pods}",
    )
    PARTITIONED = (
        "partitioned",
        "Its partition excludes pods with an ordinal below {partition} from rollouts.",
        "set spec.updateStrategy.rollingUpdate.partition to 0, or delete pods yourself: "
        "kubectl -n {namespace} delete pod {pods}",
    )
    NOT_SETTLED = (
        "not-settled",
        "Its last rollout is not complete: {says}.",
        "kubectl -n {namespace} rollout status {argument}; then run repair again",
    )


class Hindrance(msgspec.Struct, frozen=True):
    """An obstacle for an owner, with its details."""

    obstacle: Obstacle
    values: dict[str, str]

    @property
    def sentence(self) -> str:
        """Format it as one line."""
        return self.obstacle.sentence.format_map(self.values)

    @property
    def advice(self) -> str:
        """What to do instead."""
        return self.obstacle.advice.format_map(self.values)


def hindrance(obstacle: Obstacle, damage: Damage, **values: str) -> Hindrance:
    """Return an obstacle for an owner."""
    owner = damage.owner
    named = {
        "namespace": owner.namespace,
        "kind": owner.kind,
        "name": owner.name,
        "argument": owner.argument,
        "pods": " ".join(damage.pods),
    }
    return Hindrance(obstacle, {**named, **values})
