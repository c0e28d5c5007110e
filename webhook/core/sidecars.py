"""What makes each sidecar outlive the workers, and no longer than that: a hook and a parent, or the kubelet."""

from __future__ import annotations

import msgspec

from webhook.core.annotations import DEFAULT_SHELL, Sidecars, annotation_of
from webhook.core.frameworks import find_framework
from webhook.core.hooks import plan_sidecar_hook
from webhook.core.memoization import memoized
from webhook.core.parents import Surroundings, deaf_because, forbidden_because, parent_settings
from webhook.core.pod import Container
from webhook.core.reasons import Finding, Reason
from webhook.core.refusal import Refused
from webhook.core.shell_less import native_switch, shell_less_because
from webhook.core.worker_case import Circumstances
from webhook.core.wrapping import folder, own_words, parent


class SidecarPlan(msgspec.Struct, frozen=True, gc=False):
    """What a sidecar becomes; `before` is what stands before its command, None where that is kept."""

    name: str
    findings: tuple[Finding, ...]
    is_mounted: bool = False
    before: list[str] | None = None
    hook: list[str] | None = None
    """Its preStop command, if it gets one."""


class SidecarFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that the plan of a sidecar hangs on."""

    container: Container
    """Without what says nothing of its processes."""
    sidecars: Sidecars
    shell: str
    shell_less: bool
    workers: tuple[str, ...]
    old_grace: int
    surroundings: Surroundings


def sidecar_facts(
    container: Container, sidecars: Sidecars, shell: str, workers: tuple[str, ...], circumstances: Circumstances
) -> SidecarFacts:
    """Collect what the plan of a sidecar hangs on."""
    shell_less = shell == DEFAULT_SHELL and bool(shell_less_because(container.image or "", container.name))
    old_grace, surroundings = circumstances.old_grace, circumstances.surroundings
    return SidecarFacts(container.of_processes(), sidecars, shell, shell_less, workers, old_grace, surroundings)


@memoized(SidecarFacts)
def plan_sidecar(facts: SidecarFacts) -> SidecarPlan:
    """Say what becomes of a sidecar.

    Raises:
        Refused: as a native sidecar, it would end too early.

    """
    container, shell = facts.container, facts.shell
    name = container.name
    if facts.sidecars is Sidecars.IGNORE:
        return SidecarPlan(name, (Finding(Reason.SIDECAR_IGNORED, name),))
    role = Finding(Reason.SIDECAR, name)
    if facts.sidecars is Sidecars.NATIVE:
        return SidecarPlan(name, (role, _moved(container)))
    if facts.shell_less:
        way_out = native_switch(name) or f"{annotation_of('sidecars')}: {Sidecars.NATIVE.value}"
        return SidecarPlan(name, (role, Finding(Reason.SIDECAR_WITHOUT_SHELL, name, way_out)))
    before = None
    findings = [role]
    if container.command:
        argv = [*own_words(container.command), *(container.args or ())]
        line, _ = find_framework(argv)
        deaf = deaf_because(line, facts.surroundings)
        if deaf and not forbidden_because(container, argv, line.launches, facts.surroundings):
            before = parent(shell, name, parent_settings(facts.old_grace, line, None, "", looks_below=False))
            findings.append(Finding(Reason.PARENT_ADDED, name, deaf))
    hook, said = plan_sidecar_hook(container, shell, folder(name) if before else "", facts.workers)
    return SidecarPlan(name, (*findings, *said), is_mounted=True, before=before, hook=hook)


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
