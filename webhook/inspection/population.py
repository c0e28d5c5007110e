"""Conclusions about namespaces and pods: which are labelled, protected or unprotected, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from webhook.core.annotations import LABEL, LABEL_DISABLED, LABEL_ENABLED
from webhook.core.text import listed, quoted
from webhook.inspection.facts import Conclusion, Fact
from webhook.inspection.installation import unseen
from webhook.inspection.observations import Namespace, Observations, State, Unseen, WorkerPod
from webhook.inspection.selectors import matches, shipped_entries
from webhook.inspection.versions import is_before, newest_version
from webhook.inspection.words import counted

_FACTS = {
    State.UNPROTECTED: Fact.UNPROTECTED,
    State.UNRECORDED: Fact.UNRECORDED,
    State.REFUSED: Fact.REFUSED,
    State.MISLABELLED: Fact.MISLABELLED,
    State.LEFT_ALONE: Fact.LEFT_ALONE,
}
_RESTARTED = ("Deployment", "StatefulSet", "DaemonSet")


def about_namespaces(seen: Observations) -> Iterator[Conclusion]:
    """Conclude which namespaces are labelled, and which labels have no effect."""
    if isinstance(seen.namespaces, Unseen):
        yield unseen(seen.namespaces)
        return
    labelled = [each for each in seen.namespaces if each.labels.get(LABEL) == LABEL_ENABLED]
    left_out = [each for each in labelled if not _is_sent(each, seen)]
    sent = [each.name for each in labelled if each not in left_out]
    if sent:
        count = counted(len(sent), "namespace")
        yield Conclusion(Fact.NAMESPACES_LABELLED, {"count": count, "namespaces": listed(sent)})
    if not labelled:
        yield Conclusion(Fact.NO_NAMESPACE)
    for each in left_out:
        yield Conclusion(Fact.NAMESPACE_LEFT_OUT, {"namespace": each.name})
    for each in seen.namespaces:
        value = each.labels.get(LABEL)
        # `disabled` has no effect on a namespace, but is not misleading.
        if value not in (None, LABEL_ENABLED, LABEL_DISABLED):
            values = {"namespace": each.name, "label": f"{LABEL}: {quoted(value or '')}"}
            yield Conclusion(Fact.NAMESPACE_MISLABELLED, values)


def _is_sent(namespace: Namespace, seen: Observations) -> bool:
    entries = seen.pod_entries or shipped_entries(seen.names.namespace)
    return any(matches(entry.get("namespaceSelector"), namespace.labels) for entry in entries)


def about_pods(seen: Observations, *, is_able: bool) -> Iterator[Conclusion]:
    """Conclude which pods are protected, and what to do about the others.

    A pod recreated while calls to the webhook fail (not `is_able`) is unprotected again, or missing.
    """
    if isinstance(seen.pods, Unseen):
        yield unseen(seen.pods)
        return
    protected = [pod for pod in seen.pods if pod.state is State.PROTECTED]
    if protected:
        by_namespace = Counter(pod.namespace for pod in protected)
        places = listed(f"{namespace} {count}" for namespace, count in sorted(by_namespace.items()))
        yield Conclusion(Fact.PODS_PROTECTED, {"count": counted(len(protected), "pod"), "namespaces": places})
        yield from _older(protected, seen)
    else:
        yield Conclusion(Fact.NO_POD)
    for state in _FACTS:
        yield from _grouped(state, seen.pods, "" if is_able else "once the installation works: ")


def _older(protected: Sequence[WorkerPod], seen: Observations) -> Iterator[Conclusion]:
    newest = newest_version(seen, protected)
    older = Counter(pod.version for pod in protected if is_before(pod.version, newest))
    if older:
        versions = ", ".join(f"{version}: {count}" for version, count in sorted(older.items()))
        count = counted(older.total(), "pod")
        yield Conclusion(Fact.PODS_OLDER, {"count": count, "version": newest, "versions": versions})


def _grouped(state: State, pods: Iterable[WorkerPod], condition: str) -> Iterator[Conclusion]:
    """Report the same conclusion once for the pods of an owner."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for pod in pods:
        # For a terminating pod, it is too late.
        if pod.state is state and not pod.ending:
            # Without details, which may quote the pod; use `explain` to see them.
            verdict = f"{pod.verdict.reason.sentence} [{pod.verdict.reason.value}]" if pod.verdict else ""
            groups.setdefault((pod.namespace, pod.owner, verdict), []).append(pod.name)
    for (namespace, owner, verdict), names in sorted(groups.items()):
        values = {"namespace": namespace, "owner": owner, "verdict": verdict, "count": counted(len(names), "pod")}
        yield Conclusion(_FACTS[state], {**values, "pods": names, "recreate": condition + _recreate(namespace, owner)})


def _recreate(namespace: str, owner: str) -> str:
    kind, _, name = owner.partition(" ")
    if kind in _RESTARTED:
        return f"kubectl -n {namespace} rollout restart {kind.lower()}/{name}"
    return f"recreate the pods of {owner}" if kind != "Pod" else f"delete pod {name} and create it again"
