"""What prevents the restart of a workload, and what to do instead: pure."""

from __future__ import annotations

import msgspec

from webhook.core.annotations import STATUS_ANNOTATION
from webhook.core.coded_enum import CodedEnum
from webhook.core.injection import inject
from webhook.core.pod import JsonObject
from webhook.core.policy import Policy
from webhook.core.reasons import Kind
from webhook.inspection.snapshot import Snapshot, State
from webhook.inspection.worker_pods import format_verdict
from webhook.kubernetes.api_client import NotPermitted
from webhook.kubernetes.rollout import Stage, rollout_of
from webhook.kubernetes.selectors import default_entries, matches
from webhook.repair.candidates import RestartCandidate


class BlockerCode(CodedEnum):
    """What prevents a restart; `{name}` in sentence and advice is replaced by a value."""

    sentence: str
    advice: str

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

    # About the state of the workload.
    NOT_PERMITTED = (
        "unseen",
        "It cannot be read: permission missing: {right}.",
        "obtain this permission (--help lists all)",
    )
    GONE = (
        "gone",
        "The API group apps has no such {kind}: it was deleted, or its kind belongs to another API group.",
        "if it still exists, restart it as its controller's documentation describes",
    )
    TERMINATING = "ending", "It is being deleted.", "nothing to do: its pods are deleted with it"
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
    ROLLOUT_INCOMPLETE = (
        "not-settled",
        "Its last rollout is not complete: {says}.",
        "kubectl -n {namespace} rollout status {argument}; then run repair again",
    )


class Blocker(msgspec.Struct, frozen=True):
    """What prevents the restart of a candidate, which must be fixed by hand."""

    code: BlockerCode
    candidate: RestartCandidate
    details: dict[str, str] = {}

    @property
    def sentence(self) -> str:
        """Format it as one line."""
        return self.candidate.fill_in(self.code.sentence, self.details)

    @property
    def advice(self) -> str:
        """What to do instead."""
        return self.candidate.fill_in(self.code.advice, self.details)


RESTARTABLE = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
"""The kinds with rollouts, and their resources in the API group apps."""
LiveObject = JsonObject | NotPermitted | None
"""A workload as the API server returns it; None if it does not exist."""

_KINDS = {
    "Job": BlockerCode.JOB,
    "Pod": BlockerCode.BARE_POD,
    "ReplicaSet": BlockerCode.REPLICA_SET,
    "ReplicationController": BlockerCode.REPLICA_SET,
    "Rollout": BlockerCode.ARGO_ROLLOUT,
}
_STATES = {
    State.REFUSED: BlockerCode.REFUSED,
    State.MISLABELLED: BlockerCode.MISLABELLED,
    State.UNRECORDED: BlockerCode.UNRECORDED,
}
_OUTCOMES = {Kind.REFUSED: BlockerCode.REFUSED, Kind.LEFT_ALONE: BlockerCode.LEFT_ALONE}


def find_blocker_by_kind(candidate: RestartCandidate) -> Blocker | None:
    """Return the blocker that is known without reading the workload, if any."""
    if candidate.state:
        return Blocker(_STATES[candidate.state], candidate, {"verdict": format_verdict(candidate.verdict)})
    if candidate.workload.kind not in RESTARTABLE:
        return Blocker(_KINDS.get(candidate.workload.kind, BlockerCode.CUSTOM_CONTROLLER), candidate)
    return None


def find_blocker(candidate: RestartCandidate, live_object: LiveObject, snapshot: Snapshot) -> Blocker | None:
    """Return the blocker of a workload of a kind with rollouts, if any."""
    if isinstance(live_object, NotPermitted):
        return Blocker(BlockerCode.NOT_PERMITTED, candidate, {"right": live_object.permission})
    if live_object is None:
        return Blocker(BlockerCode.GONE, candidate)
    if "deletionTimestamp" in live_object["metadata"]:
        return Blocker(BlockerCode.TERMINATING, candidate)
    return (
        _by_strategy(candidate, live_object["spec"])
        or _by_template(candidate, live_object, snapshot)
        or _by_rollout(candidate, live_object)
    )


def _by_strategy(candidate: RestartCandidate, spec: JsonObject) -> Blocker | None:
    if spec.get("paused"):
        return Blocker(BlockerCode.PAUSED, candidate)
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return Blocker(BlockerCode.ON_DELETE, candidate)
    partition = (strategy.get("rollingUpdate") or {}).get("partition")
    return Blocker(BlockerCode.PARTITIONED, candidate, {"partition": str(partition)}) if partition else None


def _by_template(candidate: RestartCandidate, workload: JsonObject, snapshot: Snapshot) -> Blocker | None:
    """Decide on the template's pods as the webhook would."""
    template: JsonObject = workload["spec"]["template"]
    metadata = template.get("metadata") or {}
    if STATUS_ANNOTATION in (metadata.get("annotations") or {}):
        return Blocker(BlockerCode.IN_MANIFEST, candidate)
    if not _is_sent(metadata.get("labels") or {}, candidate.workload.namespace, snapshot):
        return Blocker(BlockerCode.NOT_SENT, candidate)
    pod = {**template, "metadata": {**metadata, "namespace": candidate.workload.namespace}}
    decision = inject(pod, Policy()).decision
    code = _OUTCOMES.get(decision.outcome)
    return Blocker(code, candidate, {"verdict": format_verdict(decision.verdict)}) if code else None


def _is_sent(labels: dict[str, str], namespace: str, snapshot: Snapshot) -> bool:
    if isinstance(snapshot.namespaces, NotPermitted):
        # The missing permission is reported when the run is refused.
        return True
    of_namespace = next((each.labels for each in snapshot.namespaces if each.name == namespace), {})
    return any(
        matches(entry.get("namespaceSelector"), of_namespace) and matches(entry.get("objectSelector"), labels)
        for entry in snapshot.pod_entries or default_entries(snapshot.names.namespace)
    )


def _by_rollout(candidate: RestartCandidate, workload: JsonObject) -> Blocker | None:
    rollout = rollout_of(candidate.workload.kind, workload)
    is_complete = rollout.stage is Stage.COMPLETE
    return None if is_complete else Blocker(BlockerCode.ROLLOUT_INCOMPLETE, candidate, {"says": rollout.message})
