"""What a pod may cost: reading it holds up all others, and etcd stores no more than 1.5 MiB of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from webhook.core.command_line import LONGEST_SCRIPT
from webhook.core.pod import Pod
from webhook.core.reasons import Reason
from webhook.core.refusal import Refused

MOST_CONTAINERS = 250
"""More than twice as many as a node has pods: https://kubernetes.io/docs/setup/best-practices/cluster-large/."""
MOST_SHELL_TEXT = 32 * 1024
"""Characters of all shell strings, as far as they are read: 1 µs each."""
LARGEST_PATCH = 1024 * 1024
"""Bytes, as JSON; a patch of few containers cannot be as large."""
_FEW_CONTAINERS = 20
_SHORT = 256
"""Characters of a word that is no shell string worth counting."""


def check_pod(pod: Pod) -> None:
    """Make sure that a pod can be decided on in a few milliseconds.

    Raises:
        Refused: it has too many containers, or too much shell text.

    """
    spec = pod.spec
    count = len(spec.containers) + len(spec.init_containers or ())
    if count > MOST_CONTAINERS:
        raise Refused(Reason.TOO_MANY_CONTAINERS, detail=f"{count}; the limit is {MOST_CONTAINERS}")
    if count <= MOST_SHELL_TEXT // LONGEST_SCRIPT:
        return
    size = 0
    for container in (*spec.containers, *(spec.init_containers or ())):
        size += _read_of(container.command or ()) + _read_of(container.args or ())
    if size > MOST_SHELL_TEXT:
        detail = f"{size} characters; the limit is {MOST_SHELL_TEXT}; move scripts into files in the image"
        raise Refused(Reason.SHELL_TEXT_TOO_LONG, detail=detail)


def _read_of(words: Sequence[str]) -> int:
    return sum([min(len(word), LONGEST_SCRIPT) for word in words if len(word) > _SHORT])


def check_patch(pod: Pod, patch: Sequence[dict[str, Any]]) -> None:
    """Make sure that a pod with its patch can still be stored.

    Raises:
        Refused: the patch is too large.

    """
    if len(pod.spec.containers) <= _FEW_CONTAINERS:
        return
    size = len(msgspec.json.encode(patch, enc_hook=str))
    if size > LARGEST_PATCH:
        detail = f"{size} bytes for {len(pod.spec.containers)} containers; the limit is {LARGEST_PATCH}"
        raise Refused(Reason.PATCH_TOO_LARGE, detail=detail)
