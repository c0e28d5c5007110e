"""Makes sidecars outlive the workers, but no longer: by a hook and a parent process, or as native sidecars."""

from __future__ import annotations

import msgspec

from webhook.core.annotations import DEFAULT_SHELL, Sidecars, annotation_of
from webhook.core.errors import Refused
from webhook.core.plan.memoization import memoized
from webhook.core.plan.parent import PodSandbox, explain_forbidden_parent, explain_ignored_signals, parent_settings
from webhook.core.plan.prestop_hooks import plan_sidecar_hook
from webhook.core.plan.worker_facts import PodContext
from webhook.core.pod import Container
from webhook.core.reasons import Finding, Reason
from webhook.core.recognize.frameworks import find_framework
from webhook.core.recognize.shell_less_images import native_switch
from webhook.core.wrapper import folder, parent, wrapped_command


class SidecarPlan(msgspec.Struct, frozen=True, gc=False):
    """The plan for a sidecar; `wrapper` is put before its command, None if that stays unchanged."""

    name: str
    findings: tuple[Finding, ...]
    is_mounted: bool = False
    waits: bool = False
    """Whether its hook waits for the workers."""
    wrapper: list[str] | None = None
    hook: list[str] | None = None
    """Its preStop command, if it gets a hook."""


class SidecarFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Everything that the plan for a sidecar depends on."""

    container: Container
    """Without fields that do not affect its processes."""
    sidecars: Sidecars
    shell: str
    shell_less: bool
    workers: tuple[str, ...]
    original_grace: int
    sandbox: PodSandbox


def sidecar_facts(
    container: Container, sidecars: Sidecars, shell: str, workers: tuple[str, ...], context: PodContext
) -> SidecarFacts:
    """Collect what the plan for a sidecar depends on."""
    shell_less = shell == DEFAULT_SHELL and bool(container.hints.shell_less)
    original_grace, sandbox = context.original_grace, context.sandbox
    return SidecarFacts(container.of_processes(), sidecars, shell, shell_less, workers, original_grace, sandbox)


@memoized(SidecarFacts)
def plan_sidecar(facts: SidecarFacts) -> SidecarPlan:
    """Plan a sidecar.

    Raises:
        Refused: as a native sidecar, it would end too early.

    """
    container = facts.container
    name = container.name
    if facts.sidecars is Sidecars.IGNORE:
        return SidecarPlan(name, (Finding(Reason.SIDECAR_IGNORED, name),))
    role = Finding(Reason.SIDECAR, name)
    if facts.sidecars is Sidecars.NATIVE:
        return _native(facts, role, _moved(container))
    if facts.shell_less:
        alternative = native_switch(name) or f"{annotation_of('sidecars')}: {Sidecars.NATIVE.value}"
        return SidecarPlan(name, (role, Finding(Reason.SIDECAR_WITHOUT_SHELL, name, alternative)))
    wrapper, parent_findings = _parent(facts)
    own_folder = folder(name) if wrapper else ""
    hook, hook_findings = plan_sidecar_hook(container, facts.shell, own_folder, facts.workers, facts.original_grace)
    return SidecarPlan(
        name, (role, *parent_findings, *hook_findings), is_mounted=True, waits=True, wrapper=wrapper, hook=hook
    )


@memoized(SidecarFacts)
def plan_native_sidecar(facts: SidecarFacts) -> SidecarPlan:
    """Plan a sidecar that is already native: the kubelet stops it after the workers."""
    return _native(facts, Finding(Reason.SIDECAR_NATIVE, facts.container.name))


def _native(facts: SidecarFacts, *role: Finding) -> SidecarPlan:
    """Give a native sidecar that ignores signals a parent; otherwise, the kubelet would wait for the raised period.

    The kubelet runs the preStop hooks of native sidecars at the deletion, like all others, and sends their signal after
    the other containers have ended: killContainer in pkg/kubelet/kuberuntime/kuberuntime_container.go.
    """
    name = facts.container.name
    wrapper, parent_findings = (None, []) if facts.sidecars is Sidecars.IGNORE or facts.shell_less else _parent(facts)
    if wrapper is None:
        return SidecarPlan(name, role)
    hook, hook_findings = plan_sidecar_hook(facts.container, facts.shell, folder(name), (), facts.original_grace)
    return SidecarPlan(name, (*role, *parent_findings, *hook_findings), is_mounted=True, wrapper=wrapper, hook=hook)


def _parent(facts: SidecarFacts) -> tuple[list[str] | None, list[Finding]]:
    """Return what to put before the command of a sidecar that may ignore signals, and the finding."""
    container = facts.container
    if not container.command:
        return None, []
    argv = [*wrapped_command(container.command), *(container.args or ())]
    line, _ = find_framework(argv)
    reason = explain_ignored_signals(line, facts.sandbox)
    if not reason or explain_forbidden_parent(container, argv, line.launches, facts.sandbox):
        return None, []
    settings = parent_settings(facts.original_grace, line, None, "", searches_descendants=False)
    wrapper = parent(facts.shell, container.name, settings, container.stop_signal)
    return wrapper, [Finding(Reason.PARENT_ADDED, container.name, reason)]


def _moved(container: Container) -> Finding:
    if container.unchainable_hook or wrapped_command(container.hook_command):
        raise Refused(
            Reason.SIDECAR_HOOK_EARLY,
            container.name,
            f"remove lifecycle.preStop, or set annotation {annotation_of('sidecars')}: {Sidecars.HOOK.value}",
        )
    if container.restart_policy and not container.is_native_sidecar:
        raise Refused(
            Reason.SIDECAR_ENDS,
            container.name,
            f"remove its restartPolicy, or set annotation {annotation_of('sidecars')}: {Sidecars.HOOK.value}",
        )
    return Finding(Reason.SIDECAR_MOVED, container.name)
