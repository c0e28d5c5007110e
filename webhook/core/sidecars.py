"""What makes each sidecar outlive the workers: a hook, or the kubelet."""

from __future__ import annotations

from collections.abc import Sequence

from webhook.core.annotations import DEFAULT_SHELL, Settings, Sidecars, annotation_of
from webhook.core.hooks import add_hook
from webhook.core.meshes import shell_less_proxy
from webhook.core.pod import Container
from webhook.core.reasons import Finding, Reason
from webhook.core.refusal import Refused
from webhook.core.wrapping import chained_hook


def plan_sidecar(
    container: Container,
    settings: Settings,
    hooks: dict[str, list[str]],
    shell: str,
    workers: Sequence[str],
) -> list[Finding]:
    """Say what becomes of a sidecar; its hook, if it gets one, is put among the others.

    Raises:
        Refused: as a native sidecar, it would end too early.

    """
    if settings.sidecars is Sidecars.IGNORE:
        return [Finding(Reason.SIDECAR_IGNORED, container.name)]
    role = Finding(Reason.SIDECAR, container.name)
    if settings.sidecars is Sidecars.NATIVE:
        return [role, _moved(container)]
    proxy = shell_less_proxy(container) if shell == DEFAULT_SHELL else None
    if proxy:
        return [role, Finding(Reason.PROXY_WITHOUT_SHELL, container.name, proxy.switch)]
    return [role, *add_hook(hooks, container, shell, workers, is_worker=False)]


def _moved(container: Container) -> Finding:
    hook = container.lifecycle and container.lifecycle.pre_stop
    if hook and (hook.other_than_exec or chained_hook((hook.exec and hook.exec.command) or ())):
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
