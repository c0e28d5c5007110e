"""The preStop hook of a container: graceful-worker's, followed by the container's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from webhook.core.pod import Container
from webhook.core.reasons import Finding, Reason
from webhook.core.wrapper import sidecar_hook, worker_hook, wrap, wrapped_command

Hook: TypeAlias = tuple[list[str] | None, list[Finding]]
"""The command of a container's preStop hook, None if it stays unchanged; and the findings."""


def plan_worker_hook(
    container: Container, shell: str, action: str, *, sidecars_wait: bool, process_1_is_wrapper: bool
) -> Hook:
    """Put the worker's hook before the existing one.

    With `sidecars_wait`, sidecars notice when the container ends. With `process_1_is_wrapper`, its process 1 is a loop
    or a parent.
    """
    unchainable = container.unchainable_hook
    if unchainable:
        return None, [Finding(Reason.HOOK_KEPT, container.name, unchainable)]
    chained = _has_own_hook(container)
    command = worker_hook(
        shell,
        container.name,
        action,
        sidecars_wait=sidecars_wait,
        chained=chained,
        process_1_is_wrapper=process_1_is_wrapper,
    )
    return _prepend(container, command, Reason.KILL_FILE_HOOK)


def plan_sidecar_hook(
    container: Container, shell: str, own_folder: str, workers: Sequence[str], original_grace: int
) -> Hook:
    """Put the sidecar's hook before the existing one, which gets the pod's old grace period.

    Without workers, it does not wait, but only records the time of the deletion.
    """
    unchainable = container.unchainable_hook
    if unchainable:
        # If the time of the deletion is not recorded, the parent counts from the signal on.
        return None, [Finding(Reason.SIDECAR_HOOK_KEPT, container.name, unchainable)] if workers else []
    command = sidecar_hook(shell, own_folder, workers, original_grace if _has_own_hook(container) else None)
    return _prepend(container, command, Reason.SIDECAR_HOOK if workers else Reason.KILL_FILE_HOOK)


def _has_own_hook(container: Container) -> bool:
    return bool(wrapped_command(container.hook_command))


def _prepend(container: Container, command: Sequence[str], reason: Reason) -> Hook:
    findings = [Finding(reason, container.name)]
    if _has_own_hook(container):
        findings.append(Finding(Reason.HOOK_CHAINED, container.name))
    return wrap(container.hook_command, command), findings
