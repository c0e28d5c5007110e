"""The plan for a pod: everything that a protected pod has."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec
from msgspec.structs import replace

from webhook.core.annotations import DEFAULT_SHELL, INJECTED_SHELL, Evict, Settings, Sidecars, annotation_of
from webhook.core.errors import Refused
from webhook.core.formatting import quoted
from webhook.core.image_config import Images
from webhook.core.plan.flags import Edit
from webhook.core.plan.grace_period import GracePeriodPlan, current_grace_period, plan_grace_period
from webhook.core.plan.injected_shell import InjectedShell, plan_injected_shell, shell_path
from webhook.core.plan.lookup_failures import check_lookups
from webhook.core.plan.mesh import plan_mesh
from webhook.core.plan.parent import sandbox_of
from webhook.core.plan.sidecars import SidecarPlan, plan_native_sidecar, plan_sidecar, sidecar_facts
from webhook.core.plan.worker_facts import PodContext, facts_of
from webhook.core.plan.worker_plan import WorkerPlan, check_annotations_apply, plan_worker
from webhook.core.pod import Pod
from webhook.core.policy import Policy, RegistryTrouble
from webhook.core.reasons import Finding, Reason
from webhook.core.select.workers import Worker
from webhook.core.status import Status
from webhook.core.third_party_keys import EVICTION_ANNOTATIONS
from webhook.core.wrapper import MOUNT_PATH, VOLUME

_VOLUME_SHARED = Finding(Reason.VOLUME_SHARED, detail=f"{VOLUME}, at {MOUNT_PATH}")
_AUTOSCALER_GRACE_PERIOD = 600
"""Seconds to which the cluster autoscaler shortens grace periods: its --max-graceful-termination-sec."""
_GRACE_PERIOD_CUT = {
    Evict.ALLOW: Finding(Reason.EVICTION_CUT, detail="the eviction guard keeps the full grace period if it is on"),
    Evict.AS_ASKED: Finding(Reason.EVICTION_CUT, detail=f"{annotation_of('evict')} allows that"),
}


class CommandChange(msgspec.Struct, frozen=True, gc=False):
    """The wrapper to put before a container's command, its command if the manifest has none, and edits of its words."""

    name: str
    wrapper: list[str] | None
    command: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()


class PodPlan(msgspec.Struct, frozen=True, gc=False):
    """Everything that a protected pod has; what the pod lacks of it becomes the patch."""

    findings: tuple[Finding, ...]
    workers: tuple[WorkerPlan, ...]
    commands: tuple[CommandChange, ...]
    hooks: dict[str, list[str]]
    """The preStop command of each container that gets a hook."""
    mounted: tuple[str, ...]
    grace_period: GracePeriodPlan
    labels: dict[str, str]
    annotations: dict[str, str]
    status: Status | None
    """The record of an earlier injection."""
    moved: tuple[str, ...] = ()
    """The sidecars that become native sidecars."""
    restarted: tuple[str, ...] = ()
    """The native sidecars whose restartPolicy another webhook has removed."""
    injected_shell: InjectedShell | None = None
    """The injected shell, if the images have none."""


def plan_pod(
    pod: Pod, policy: Policy, settings: Settings, status: Status | None, workers: list[Worker], images: Images
) -> PodPlan:
    """Plan how to protect a pod.

    Raises:
        Refused: the pod's settings contradict each other, or cannot be applied.

    """
    grace_period = plan_grace_period(pod, policy, settings, status)
    shell = shell_path(settings.shell, policy.shell_source)
    is_injected = settings.shell == INJECTED_SHELL
    injected_shell = plan_injected_shell(pod, policy, workers[0].container) if is_injected else None
    context = PodContext(
        restart_policy=pod.spec.restart_policy or "Always",
        grace=grace_period.seconds,
        original_grace=grace_period.original,
        sandbox=sandbox_of(pod),
        shell=shell,
    )
    sidecars = _plan_sidecars(pod, settings, context, workers, shell if is_injected else DEFAULT_SHELL)
    context = replace(context, sidecars_wait=any(sidecar.waits for sidecar in sidecars))
    plans = _plan_workers(workers, settings, context, images, status)
    check_annotations_apply(settings, workers, plans)
    if not all(plan.may_raise_grace for plan in plans) or _was_not_raised(pod, plans, grace_period.seconds):
        original = grace_period.original
        grace_period = GracePeriodPlan(original, original, findings=(Finding(Reason.GRACE_KEPT),))
        plans = _plan_workers(workers, settings, replace(context, grace=original, keeps_grace=True), images, status)
    findings = [*grace_period.findings]
    for plan in plans:
        findings += plan.findings
    if policy.registry_trouble is RegistryTrouble.REFUSE:
        check_lookups(findings, images)
    moved = tuple([sidecar.name for sidecar in sidecars]) if settings.sidecars is Sidecars.NATIVE else ()
    # The injected shell may arrive too late for the existing native sidecars.
    sidecars += [
        plan_native_sidecar(sidecar_facts(container, settings.sidecars, DEFAULT_SHELL, (), context))
        for container in pod.spec.init_containers or ()
        if container.is_native_sidecar
    ]
    for sidecar in sidecars:
        findings += sidecar.findings
    # A dict serves as an ordered set with fast lookups.
    names = dict.fromkeys([plan.name for plan in plans])
    mounted = names | dict.fromkeys([sidecar.name for sidecar in sidecars if sidecar.is_mounted])
    _check_shared_volume(pod, mounted, names)
    findings.append(_VOLUME_SHARED)
    if injected_shell:
        findings.append(Finding(Reason.SHELL_BROUGHT, detail=f"{policy.shell_source.value}, {policy.shell_image}"))
    mesh = plan_mesh(pod, settings)
    annotations, evictions = _plan_evictions(settings, grace_period.seconds)
    restarted = _sidecars_to_restart(pod, status)
    findings += (*mesh.findings, *evictions, *[Finding(Reason.SIDECAR_RESTORED, name) for name in restarted])
    return PodPlan(
        findings=tuple(findings),
        workers=plans,
        commands=_command_changes(plans, sidecars),
        hooks={s.name: s.hook for s in sidecars if s.hook} | {plan.name: plan.hook for plan in plans if plan.hook},
        mounted=tuple(mounted),
        grace_period=grace_period,
        labels=mesh.labels,
        annotations=mesh.annotations | annotations,
        status=status,
        moved=moved,
        restarted=restarted,
        injected_shell=injected_shell,
    )


def _plan_workers(
    workers: list[Worker], settings: Settings, context: PodContext, images: Images, status: Status | None
) -> tuple[WorkerPlan, ...]:
    recorded = status.workers if status else {}
    return tuple([plan_worker(facts_of(worker, settings, context, images, recorded)) for worker in workers])


def _was_not_raised(pod: Pod, plans: Iterable[WorkerPlan], grace_period: int) -> bool:
    """Tell whether an earlier injection, which knew the image's command, did not raise the grace period."""
    return any(plan.is_recorded for plan in plans) and current_grace_period(pod) < grace_period


def _plan_sidecars(
    pod: Pod, settings: Settings, context: PodContext, workers: list[Worker], shell: str
) -> list[SidecarPlan]:
    names = tuple([worker.container.name for worker in workers])
    return [
        plan_sidecar(sidecar_facts(container, settings.sidecars, shell, names, context))
        for container in pod.spec.containers
        if container.name not in names
    ]


def _check_shared_volume(pod: Pod, mounted: Collection[str], workers: Collection[str]) -> None:
    """Check that the containers can mount the shared volume, and the workers can write to it.

    Raises:
        Refused: its name or mount path is in use.

    """
    for volume in pod.spec.volumes or ():
        if volume.name == VOLUME and not volume.empty_dir:
            raise Refused(Reason.VOLUME_CONFLICT, detail=f"volume {VOLUME} is not an emptyDir; rename your volume")
    for container in pod.spec.all_containers:
        if container.name not in mounted:
            continue
        for mount in container.mounts or ():
            is_read_only = mount.read_only and container.name in workers
            if mount.path == MOUNT_PATH and (mount.name != VOLUME or is_read_only):
                raise Refused(
                    Reason.VOLUME_CONFLICT,
                    container.name,
                    f"{MOUNT_PATH} is the mount path of volume {quoted(mount.name)}"
                    f"{', read-only' if mount.read_only else ''}; mount it elsewhere",
                )


def _plan_evictions(settings: Settings, grace_period: int) -> tuple[dict[str, str], list[Finding]]:
    """Return the annotations that forbid evictions, or a warning if evictions shorten the grace period."""
    if settings.evict is Evict.NEVER:
        return EVICTION_ANNOTATIONS, [Finding(Reason.EVICTION_FORBIDDEN)]
    return {}, [_GRACE_PERIOD_CUT[settings.evict]] if grace_period > _AUTOSCALER_GRACE_PERIOD else []


def _command_changes(workers: Iterable[WorkerPlan], sidecars: Iterable[SidecarPlan]) -> tuple[CommandChange, ...]:
    changes = [
        CommandChange(worker.name, worker.wrapper, worker.command, worker.edits)
        for worker in workers
        if worker.wrapper or worker.edits
    ]
    return (*changes, *(CommandChange(sidecar.name, sidecar.wrapper) for sidecar in sidecars if sidecar.wrapper))


def _sidecars_to_restart(pod: Pod, status: Status | None) -> tuple[str, ...]:
    """Return the sidecars that are no longer native: without the restart policy, they would never end."""
    moved = (status.moved or {}) if status else {}
    return tuple([c.name for c in pod.spec.init_containers or () if c.name in moved and not c.is_native_sidecar])
