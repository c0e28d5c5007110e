"""Tells which pods are touched at all: by their label, their kind and their size."""

from __future__ import annotations

from webhook.core.annotations import LABEL, LABEL_DISABLED, LABEL_ENABLED
from webhook.core.errors import Refused
from webhook.core.formatting import quoted
from webhook.core.pod import MOST_CONTAINERS, Pod
from webhook.core.reasons import Reason
from webhook.core.recognize.shell_script import LONGEST_SCRIPT
from webhook.core.select.windows_pods import is_windows
from webhook.core.third_party_keys import MIRROR

CRITICAL_CLASSES = frozenset({"system-node-critical", "system-cluster-critical"})
"""https://kubernetes.io/docs/tasks/administer-cluster/guaranteed-scheduling-critical-addon-pods/"""
MOST_SHELL_TEXT = 32 * 1024
"""Total length of the shell scripts that are read, in characters; reading takes 1 µs per character."""
_SHORT = 256
"""Words shorter than this are not counted as shell scripts."""


def never_touched(pod: Pod) -> Reason | None:
    """Return why a pod must never be patched; None if it may be."""
    if pod.labels.get(LABEL) == LABEL_DISABLED:
        return Reason.OPTED_OUT
    if MIRROR in pod.annotations:
        return Reason.MIRROR_POD
    if is_windows(pod):
        return Reason.WINDOWS_POD
    if pod.spec.priority_class in CRITICAL_CLASSES:
        return Reason.CRITICAL_POD
    return None


def is_labelled(pod: Pod) -> bool:
    """Tell whether the pod's own label makes it a worker.

    Raises:
        Refused: the label has any value other than the two valid ones.

    """
    value = pod.labels.get(LABEL)
    if value is None or value == LABEL_ENABLED:
        return value is not None
    raise Refused(
        Reason.LABEL_INVALID,
        detail=f"label {LABEL} is {quoted(value)}; write {LABEL_ENABLED} or {LABEL_DISABLED}",
    )


def check_size(pod: Pod) -> None:
    """Check that a decision on the pod takes only a few milliseconds: it delays all others.

    Raises:
        Refused: it has too many containers, or too much shell code.

    """
    containers = pod.spec.all_containers
    count = len(containers)
    if count > MOST_CONTAINERS:
        raise Refused(Reason.TOO_MANY_CONTAINERS, detail=f"{count}; the limit is {MOST_CONTAINERS}")
    if count <= MOST_SHELL_TEXT // LONGEST_SCRIPT:
        return
    size = sum(min(len(word), LONGEST_SCRIPT) for each in containers for word in each.argv if len(word) > _SHORT)
    if size > MOST_SHELL_TEXT:
        detail = f"{size} characters; the limit is {MOST_SHELL_TEXT}; move scripts into files in the image"
        raise Refused(Reason.SHELL_TEXT_TOO_LONG, detail=detail)
