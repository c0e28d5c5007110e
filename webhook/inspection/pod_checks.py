"""Checks of namespaces and pods: which are labelled, protected or unprotected, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from webhook.core.annotations import LABEL, LABEL_DISABLED, LABEL_ENABLED
from webhook.core.formatting import listed, pluralize, quoted
from webhook.inspection.diagnostics import Code, Diagnostic
from webhook.inspection.installation_checks import UNKNOWN_VERSION, is_older, newest_version, permission_missing
from webhook.inspection.snapshot import Snapshot, State, WorkerPod
from webhook.inspection.worker_pods import format_verdict
from webhook.kubernetes.api_client import NotPermitted
from webhook.kubernetes.selectors import default_entries, matches

_FACTS = {
    State.UNPROTECTED: Code.UNPROTECTED,
    State.UNRECORDED: Code.UNRECORDED,
    State.REFUSED: Code.REFUSED,
    State.MISLABELLED: Code.MISLABELLED,
    State.LEFT_ALONE: Code.LEFT_ALONE,
}
_RESTARTED = ("Deployment", "StatefulSet", "DaemonSet")


def check_namespaces(snapshot: Snapshot) -> Iterator[Diagnostic]:
    """Check which namespaces are labelled, and which labels have no effect."""
    if isinstance(snapshot.namespaces, NotPermitted):
        yield permission_missing(snapshot.namespaces)
        return
    labelled = [each for each in snapshot.namespaces if each.labels.get(LABEL) == LABEL_ENABLED]
    entries = snapshot.pod_entries or default_entries(snapshot.names.namespace)
    selectors = [entry.get("namespaceSelector") for entry in entries]
    left_out = [each for each in labelled if not any(matches(selector, each.labels) for selector in selectors)]
    sent = [each.name for each in labelled if each not in left_out]
    if sent:
        count = pluralize(len(sent), "namespace")
        yield Diagnostic(Code.NAMESPACES_LABELLED, {"count": count, "namespaces": listed(sent)})
    if not labelled:
        yield Diagnostic(Code.NO_NAMESPACE)
    for each in left_out:
        yield Diagnostic(Code.NAMESPACE_LEFT_OUT, {"namespace": each.name})
    for each in snapshot.namespaces:
        value = each.labels.get(LABEL)
        # `disabled` has no effect on a namespace, but is not misleading.
        if value not in (None, LABEL_ENABLED, LABEL_DISABLED):
            values = {"namespace": each.name, "label": f"{LABEL}: {quoted(value or '')}"}
            yield Diagnostic(Code.NAMESPACE_MISLABELLED, values)


def check_pods(snapshot: Snapshot, *, can_protect: bool) -> Iterator[Diagnostic]:
    """Check which pods are protected, and what to do about the others.

    A pod recreated while calls to the webhook fail (not `is_able`) is unprotected again, or missing.
    """
    if isinstance(snapshot.pods, NotPermitted):
        yield permission_missing(snapshot.pods)
        return
    protected = [pod for pod in snapshot.pods if pod.state is State.PROTECTED]
    if protected:
        by_namespace = Counter(pod.namespace for pod in protected)
        places = listed(f"{namespace} {count}" for namespace, count in sorted(by_namespace.items()))
        yield Diagnostic(Code.PODS_PROTECTED, {"count": pluralize(len(protected), "pod"), "namespaces": places})
        yield from _check_versions(protected, snapshot)
    else:
        yield Diagnostic(Code.NO_POD)
    for state in _FACTS:
        yield from _check_state(state, snapshot.pods, "" if can_protect else "once the installation works: ")


def _check_versions(protected: Sequence[WorkerPod], snapshot: Snapshot) -> Iterator[Diagnostic]:
    newest = newest_version(snapshot)
    if not newest:
        yield Diagnostic(Code.VERSION_UNKNOWN)
        return
    older = Counter(pod.version or UNKNOWN_VERSION for pod in protected if is_older(pod.version, newest))
    if older:
        versions = ", ".join(f"{version}: {count}" for version, count in sorted(older.items()))
        count = pluralize(older.total(), "pod")
        yield Diagnostic(Code.PODS_OLDER, {"count": count, "version": newest, "versions": versions})


def _check_state(state: State, pods: Iterable[WorkerPod], condition: str) -> Iterator[Diagnostic]:
    """Report the same diagnostic once for the pods of an owner."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for pod in pods:
        # For a terminating pod, it is too late.
        if pod.state is state and not pod.ending:
            group = pod.namespace, pod.owner.kind, pod.owner.name, format_verdict(pod.verdict)
            groups.setdefault(group, []).append(pod.name)
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
