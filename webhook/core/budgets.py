"""Limits for pods: reading one delays all others, and etcd stores at most 1.5 MiB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from webhook.core.errors import Refused
from webhook.core.pod import MOST_CONTAINERS, Pod
from webhook.core.reasons import Reason
from webhook.core.recognize.command_line import LONGEST_SCRIPT

MOST_SHELL_TEXT = 32 * 1024
"""Total length of the shell scripts that are read, in characters; reading takes 1 µs per character."""
LARGEST_PATCH = 1024 * 1024
"""Bytes, as JSON; the patch of a few containers cannot be that large."""
_FEW_CONTAINERS = 20
_SHORT = 256
"""Words shorter than this are not counted as shell scripts."""


def check_pod(pod: Pod) -> None:
    """Check that a decision on the pod takes only a few milliseconds.

    Raises:
        Refused: it has too many containers, or too much shell code.

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
    """Check that a pod can still be stored with its patch.

    Raises:
        Refused: the patch is too large.

    """
    if len(pod.spec.containers) <= _FEW_CONTAINERS:
        return
    size = len(msgspec.json.encode(patch, enc_hook=str))
    if size > LARGEST_PATCH:
        detail = f"{size} bytes for {len(pod.spec.containers)} containers; the limit is {LARGEST_PATCH}"
        raise Refused(Reason.PATCH_TOO_LARGE, detail=detail)
