"""The preStop hook of a container: ours, before the one that is there."""

from __future__ import annotations

from collections.abc import Sequence

from webhook.core.pod import Container
from webhook.core.reasons import Finding, Reason
from webhook.core.wrapping import chained_hook, sidecar_hook, worker_hook


def add_hook(
    hooks: dict[str, list[str]], container: Container, shell: str, workers: Sequence[str], *, is_worker: bool
) -> list[Finding]:
    """Put our preStop hook before the one that is there, where that can be chained."""
    there = container.lifecycle and container.lifecycle.pre_stop
    kept = there.other_than_exec if there else ""
    if kept:
        return [Finding(Reason.HOOK_KEPT if is_worker else Reason.SIDECAR_HOOK_KEPT, container.name, kept)]
    chained = chained_hook((there and there.exec and there.exec.command) or ())
    hooks[container.name] = (
        worker_hook(shell, container.name, chained) if is_worker else sidecar_hook(shell, workers, chained)
    )
    ours = Finding(Reason.KILL_FILE_HOOK if is_worker else Reason.SIDECAR_HOOK, container.name)
    return [ours, Finding(Reason.HOOK_CHAINED, container.name)] if chained else [ours]
