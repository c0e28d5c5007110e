"""The preStop hook of a container: graceful-worker's, followed by the container's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from webhook.core.plan.worker_facts import ExaminedWorker
from webhook.core.pod import Container
from webhook.core.reasons import Finding, Reason
from webhook.core.wrapper import is_wrapped, sidecar_hook, worker_hook, wrap, wrapped_command

Hook: TypeAlias = tuple[list[str] | None, list[Finding]]
"""The command of a container's preStop hook, None if it stays unchanged; and the findings."""


def plan_worker_hook(worker: ExaminedWorker, action: str, wrapper: list[str] | None) -> Hook:
    """Put the worker's hook before the existing one; `wrapper` is what is put before the worker's command, if any."""
    container, context = worker.container, worker.context
    if worker.shell_less:
        return None, [Finding(Reason.HOOK_IMPOSSIBLE, container.name, worker.shell_less)]
    if container.unchainable_hook:
        return None, [Finding(Reason.HOOK_KEPT, container.name, container.unchainable_hook)]
    if worker.is_recorded:
        return None, []
    command = worker_hook(
        context.shell,
        container.name,
        action,
        sidecars_wait=context.sidecars_wait,
        chained=_has_own_hook(container),
        # Another webhook may have put its own program in front of the wrapper; these programs exec what they start.
        process_1_is_wrapper=wrapper is not None or is_wrapped(container.argv),
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
