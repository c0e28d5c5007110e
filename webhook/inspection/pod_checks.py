"""Conclusions about namespaces and pods: which are labelled, protected or unprotected, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from webhook.core.annotations import LABEL, LABEL_DISABLED, LABEL_ENABLED
from webhook.core.errors import listed, quoted
from webhook.inspection.diagnostics import Diagnostic, DiagnosticCode
from webhook.inspection.installation_checks import permission_missing
from webhook.inspection.pluralize import pluralize
from webhook.inspection.selectors import matches, shipped_entries
from webhook.inspection.snapshot import Namespace, NotPermitted, Snapshot, State, WorkerPod
from webhook.inspection.versions import is_before, newest_version

_FACTS = {
    State.UNPROTECTED: DiagnosticCode.UNPROTECTED,
    State.UNRECORDED: DiagnosticCode.UNRECORDED,
    State.REFUSED: DiagnosticCode.REFUSED,
    State.MISLABELLED: DiagnosticCode.MISLABELLED,
    State.LEFT_ALONE: DiagnosticCode.LEFT_ALONE,
}
_RESTARTED = ("Deployment", "StatefulSet", "DaemonSet")


def check_namespaces(snapshot: Snapshot) -> Iterator[Diagnostic]:
    """Conclude which namespaces are labelled, and which labels have no effect."""
    if isinstance(snapshot.namespaces, NotPermitted):
        yield permission_missing(snapshot.namespaces)
        return
    labelled = [each for each in snapshot.namespaces if each.labels.get(LABEL) == LABEL_ENABLED]
    left_out = [each for each in labelled if not _is_sent(each, snapshot)]
    sent = [each.name for each in labelled if each not in left_out]
    if sent:
        count = pluralize(len(sent), "namespace")
        yield Diagnostic(DiagnosticCode.NAMESPACES_LABELLED, {"count": count, "namespaces": listed(sent)})
    if not labelled:
        yield Diagnostic(DiagnosticCode.NO_NAMESPACE)
    for each in left_out:
        yield Diagnostic(DiagnosticCode.NAMESPACE_LEFT_OUT, {"namespace": each.name})
    for each in snapshot.namespaces:
        value = each.labels.get(LABEL)
        # `disabled` has no effect on a namespace, but is not misleading.
        if value not in (None, LABEL_ENABLED, LABEL_DISABLED):
            values = {"namespace": each.name, "label": f"{LABEL}: {quoted(value or '')}"}
            yield Diagnostic(DiagnosticCode.NAMESPACE_MISLABELLED, values)


def _is_sent(namespace: Namespace, snapshot: Snapshot) -> bool:
    entries = snapshot.pod_entries or shipped_entries(snapshot.names.namespace)
    return any(matches(entry.get("namespaceSelector"), namespace.labels) for entry in entries)


def check_pods(snapshot: Snapshot, *, is_able: bool) -> Iterator[Diagnostic]:
    """Conclude which pods are protected, and what to do about the others.

    A pod recreated while calls to the webhook fail (not `is_able`) is unprotected again, or missing.
    """
    if isinstance(snapshot.pods, NotPermitted):
        yield permission_missing(snapshot.pods)
        return
    protected = [pod for pod in snapshot.pods if pod.state is State.PROTECTED]
    if protected:
        by_namespace = Counter(pod.namespace for pod in protected)
        places = listed(f"{namespace} {count}" for namespace, count in sorted(by_namespace.items()))
        yield Diagnostic(
            DiagnosticCode.PODS_PROTECTED, {"count": pluralize(len(protected), "pod"), "namespaces": places}
        )
        yield from _older(protected, snapshot)
    else:
        yield Diagnostic(DiagnosticCode.NO_POD)
    for state in _FACTS:
        yield from _grouped(state, snapshot.pods, "" if is_able else "once the installation works: ")


def _older(protected: Sequence[WorkerPod], snapshot: Snapshot) -> Iterator[Diagnostic]:
    newest = newest_version(snapshot, protected)
    older = Counter(pod.version for pod in protected if is_before(pod.version, newest))
    if older:
        versions = ", ".join(f"{version}: {count}" for version, count in sorted(older.items()))
        count = pluralize(older.total(), "pod")
        yield Diagnostic(DiagnosticCode.PODS_OLDER, {"count": count, "version": newest, "versions": versions})


def _grouped(state: State, pods: Iterable[WorkerPod], condition: str) -> Iterator[Diagnostic]:
    """Report the same conclusion once for the pods of an owner."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for pod in pods:
        # For a terminating pod, it is too late.
        if pod.state is state and not pod.ending:
            # Without details, which may quote the pod; use `explain` to see them.
            verdict = f"{pod.verdict.reason.sentence} [{pod.verdict.reason.value}]" if pod.verdict else ""
            groups.setdefault((pod.namespace, pod.owner.kind, pod.owner.name, verdict), []).append(pod.name)
    for (namespace, kind, name, verdict), names in sorted(groups.items()):
        values = {
            "namespace": namespace,
            "owner": f"{kind} {name}",
            "verdict": verdict,
            "count": pluralize(len(names), "pod"),
            "pods": names,
            "recreate": condition + _recreate(namespace, kind, name),
        }
        yield Diagnostic(_FACTS[state], values)


def _recreate(namespace: str, kind: str, name: str) -> str:
    if kind in _RESTARTED:
        return f"kubectl -n {namespace} rollout restart {kind.lower()}/{name}"
    return f"recreate the pods of {kind} {name}" if kind != "Pod" else f"delete pod {name} and create it again"
