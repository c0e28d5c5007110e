"""The preStop hook of a container: graceful-worker's, followed by the container's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from webhook.core.pod import Container
from webhook.core.reasons import Finding, Reason
from webhook.core.wrapper import own_words, put_before, sidecar_hook, worker_hook

Hook: TypeAlias = tuple[list[str] | None, list[Finding]]
"""The command of a container's preStop hook, None if it stays unchanged; and the findings."""


def plan_worker_hook(container: Container, shell: str, action: str, *, holds: bool, first_is_ours: bool) -> Hook:
    """Put the worker's hook before the existing one.

    With `holds`, sidecars notice when the container ends. With `first_is_ours`, its process 1 is a loop or a parent.
    """
    kept = container.unchainable_hook
    if kept:
        return None, [Finding(Reason.HOOK_KEPT, container.name, kept)]
    chained = _has_own(container)
    ours = worker_hook(shell, container.name, action, holds=holds, chained=chained, first_is_ours=first_is_ours)
    return _before_own(container, ours, Reason.KILL_FILE_HOOK)


def plan_sidecar_hook(
    container: Container, shell: str, own_folder: str, workers: Sequence[str], old_grace: int
) -> Hook:
    """Put the sidecar's hook before the existing one, which gets the pod's old grace period."""
    kept = container.unchainable_hook
    if kept:
        return None, [Finding(Reason.SIDECAR_HOOK_KEPT, container.name, kept)]
    ours = sidecar_hook(shell, own_folder, workers, old_grace if _has_own(container) else None)
    return _before_own(container, ours, Reason.SIDECAR_HOOK)


def plan_stamp_hook(container: Container, shell: str, own_folder: str, old_grace: int) -> Hook:
    """Put a hook before the existing one that records the time of the deletion and does not wait."""
    if container.unchainable_hook:
        # Otherwise, the parent counts from the signal on.
        return None, []
    ours = sidecar_hook(shell, own_folder, (), old_grace if _has_own(container) else None)
    return _before_own(container, ours, Reason.KILL_FILE_HOOK)


def _has_own(container: Container) -> bool:
    return bool(own_words(container.hook_command))


def _before_own(container: Container, ours: Sequence[str], reason: Reason) -> Hook:
    said = [Finding(reason, container.name)]
    if _has_own(container):
        said.append(Finding(Reason.HOOK_CHAINED, container.name))
    return put_before(container.hook_command, ours), said
