"""What makes each sidecar outlive the workers, and no longer than that: a hook and a parent, or the kubelet."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from webhook.core.annotations import DEFAULT_SHELL, Settings, Sidecars, annotation_of
from webhook.core.frameworks import find_framework
from webhook.core.hooks import add_sidecar_hook
from webhook.core.parents import Surroundings, deaf_because, forbidden_because, parent_settings
from webhook.core.pod import Container
from webhook.core.reasons import Finding, Reason
from webhook.core.refusal import Refused
from webhook.core.shell_less import native_switch, shell_less_because
from webhook.core.wrapping import folder, own_words, parent


class SidecarPlan(msgspec.Struct, frozen=True):
    """What a sidecar becomes; `before` is what stands before its command, None where that is kept."""

    name: str
    findings: tuple[Finding, ...]
    is_mounted: bool = False
    before: list[str] | None = None


def plan_sidecar(
    container: Container,
    settings: Settings,
    hooks: dict[str, list[str]],
    shell: str,
    workers: Sequence[str],
    old_grace: int,
    surroundings: Surroundings,
) -> SidecarPlan:
    """Say what becomes of a sidecar; its hook, if it gets one, is put among the others.

    Raises:
        Refused: as a native sidecar, it would end too early.

    """
    name = container.name
    if settings.sidecars is Sidecars.IGNORE:
        return SidecarPlan(name, (Finding(Reason.SIDECAR_IGNORED, name),))
    role = Finding(Reason.SIDECAR, name)
    if settings.sidecars is Sidecars.NATIVE:
        return SidecarPlan(name, (role, _moved(container)))
    if shell == DEFAULT_SHELL and shell_less_because(container.image or "", name):
        way_out = native_switch(name) or f"{annotation_of('sidecars')}: {Sidecars.NATIVE.value}"
        return SidecarPlan(name, (role, Finding(Reason.SIDECAR_WITHOUT_SHELL, name, way_out)))
    before = None
    findings = [role]
    if container.command:
        argv = [*own_words(container.command), *(container.args or ())]
        line, _ = find_framework(argv)
        deaf = deaf_because(line, surroundings)
        if deaf and not forbidden_because(container, argv, line.launches, surroundings):
            before = parent(shell, name, parent_settings(old_grace, line, None, "", looks_below=False))
            findings.append(Finding(Reason.PARENT_ADDED, name, deaf))
    own_folder = folder(name) if before else ""
    findings += add_sidecar_hook(hooks, container, shell, own_folder, workers)
    return SidecarPlan(name, tuple(findings), is_mounted=True, before=before)


def _moved(container: Container) -> Finding:
    if container.unchainable_hook or own_words(container.hook_command):
        raise Refused(
            Reason.SIDECAR_HOOK_EARLY,
            container.name,
            f"remove lifecycle.preStop, or write annotation {annotation_of('sidecars')}: {Sidecars.HOOK.value}",
        )
    if container.restart_policy and not container.is_native_sidecar:
        raise Refused(
            Reason.SIDECAR_ENDS,
            container.name,
            f"remove its restartPolicy, or write annotation {annotation_of('sidecars')}: {Sidecars.HOOK.value}",
        )
    return Finding(Reason.SIDECAR_MOVED, container.name)
