"""The decision on a pod: verdict, reasons, and the plan of changes."""

from __future__ import annotations

from collections.abc import Iterable, Set

import msgspec
from msgspec import UnsetType
from msgspec.structs import replace

from webhook.core.annotations import (
    DEFAULT_SHELL,
    INJECTED_SHELL,
    LABEL,
    Evict,
    Settings,
    Sidecars,
    annotation_of,
    read_settings,
)
from webhook.core.budgets import check_pod
from webhook.core.errors import Refused
from webhook.core.foreign_keys import EVICTION_ANNOTATIONS
from webhook.core.images import NO_IMAGES, Images
from webhook.core.plan.flags import Edit
from webhook.core.plan.lookup_failures import check_answered, check_refusal
from webhook.core.plan.mesh import plan_mesh
from webhook.core.plan.parent import surroundings_of
from webhook.core.plan.shell import Brought, bring, check_room, shell_path
from webhook.core.plan.sidecars import SidecarPlan, plan_native, plan_sidecar, sidecar_facts
from webhook.core.plan.worker_facts import Circumstances, facts_of
from webhook.core.plan.workers import WorkerPlan, check_asked_for, plan_worker
from webhook.core.pod import DEFAULT_GRACE, Container, Pod
from webhook.core.policy import Policy, RegistryTrouble
from webhook.core.reasons import Finding, Kind, Reason
from webhook.core.select.workers import (
    Worker,
    find_workers,
    images_to_ask,
    is_labelled,
    is_plainly_no_worker,
    never_touched,
)
from webhook.core.status import Status, read_status
from webhook.core.text import quoted
from webhook.core.wrapper import MOUNT_PATH, VOLUME

AUTOSCALER_CUT = 600
"""Seconds to which the cluster autoscaler shortens grace periods: its --max-graceful-termination-sec."""
_EVICTION_CUT = {
    Evict.ALLOW: Finding(Reason.EVICTION_CUT, detail="the eviction guard keeps the full grace period if it is on"),
    Evict.AS_ASKED: Finding(Reason.EVICTION_CUT, detail=f"{annotation_of('evict')} allows that"),
}
_VOLUME_SHARED = Finding(Reason.VOLUME_SHARED, detail=f"{VOLUME}, at {MOUNT_PATH}")
_SOFT = frozenset(
    {
        Reason.COMMAND_UNKNOWN,
        Reason.SHELL_MISSING,
        Reason.WORKERS_AMBIGUOUS,
        Reason.ANNOTATIONS_FULL,
        Reason.TOO_MANY_CONTAINERS,
        Reason.SHELL_TEXT_TOO_LONG,
        Reason.PATCH_TOO_LARGE,
    }
)
"""Refusals because graceful-worker cannot know or do something."""


class ProbeGrace(msgspec.Struct, frozen=True, gc=False):
    """A probe that keeps the pod's old grace period, in seconds."""

    container_list: str
    index: int
    """The container's index in its list."""
    container: str
    probe: str
    there: int | UnsetType | None
    """The probe's own grace period, if it has one."""
    seconds: int


class CommandChange(msgspec.Struct, frozen=True, gc=False):
    """Words to put before a container's command, its command if the manifest has none, and edits of its words."""

    name: str
    before: list[str] | None
    command: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()


class Plan(msgspec.Struct, frozen=True, gc=False):
    """Everything that a protected pod has; what the pod lacks of it becomes the patch."""

    workers: tuple[WorkerPlan, ...]
    commands: tuple[CommandChange, ...]
    hooks: dict[str, list[str]]
    """The preStop command of each container that gets a hook."""
    mounted: tuple[str, ...]
    grace: int
    probes: tuple[ProbeGrace, ...]
    labels: dict[str, str]
    annotations: dict[str, str]
    status: Status | None
    """The record of an earlier injection."""
    moved: tuple[str, ...] = ()
    """The sidecars that become native sidecars."""
    restarted: tuple[str, ...] = ()
    """The native sidecars whose restartPolicy another webhook has removed."""
    brought: Brought | None = None
    """The injected shell, if the images have none."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The decision on a pod; `plan` is None if nothing changes.

    `ask` lists the containers whose images are worth looking up.
    """

    outcome: Kind
    verdict: Finding
    findings: tuple[Finding, ...] = ()
    plan: Plan | None = None
    ask: tuple[str, ...] = ()

    @property
    def reason(self) -> Reason:
        """The reason for the verdict."""
        return self.verdict.reason


def decide(pod: Pod, policy: Policy, images: Images = NO_IMAGES) -> Decision:
    """Decide on a pod, given the known facts about its images."""
    settings = status = None
    try:
        untouched = never_touched(pod)
        if untouched is not None:
            return _left_alone(Finding(untouched))
        labelled = is_labelled(pod)
        if policy.only_labelled and not labelled:
            return _left_alone(Finding(Reason.NOT_LABELLED))
        check_pod(pod)
        settings = read_settings(pod.annotations)
        status = read_status(pod.annotations)
        workers = find_workers(pod, settings, images, status.workers if status else {})
        if not labelled and is_plainly_no_worker(pod, workers, images):
            return _left_alone(Finding(Reason.NOT_A_WORKER, workers[0].container.name))
        knows_all = all(worker.container.command for worker in workers)
        ask = () if knows_all else _to_ask(pod, settings, status, images)
        return _protect(pod, policy, settings, status, workers, images, ask)
    except Refused as refused:
        outcome, finding = _refusal(refused, pod, policy, images)
        return Decision(outcome, finding, ask=_to_ask(pod, settings, status, images))


def _refusal(refused: Refused, pod: Pod, policy: Policy, images: Images) -> tuple[Kind, Finding]:
    outcome = outcome_of(refused, pod)
    if outcome is Kind.LEFT_ALONE and policy.registry_trouble is RegistryTrouble.REFUSE:
        try:
            check_refusal(refused, images)
        except Refused as required:
            return Kind.REFUSED, required.finding
    return outcome, refused.finding


def _to_ask(pod: Pod, settings: Settings | None, status: Status | None, images: Images) -> tuple[str, ...]:
    """Return the containers whose images are worth looking up; none if the result would not matter."""
    if settings is None or status is not None or settings.command:
        return ()
    return tuple(name for name in images_to_ask(pod, settings) if name not in images)


def outcome_of(refused: Refused, pod: Pod) -> Kind:
    """Apply a refusal: for what graceful-worker cannot do, only pods with their own label are refused."""
    soft = refused.finding.reason in _SOFT and pod.labels.get(LABEL) is None
    return Kind.LEFT_ALONE if soft else Kind.REFUSED


def _left_alone(finding: Finding) -> Decision:
    return Decision(Kind.LEFT_ALONE, finding)


def _protect(
    pod: Pod,
    policy: Policy,
    settings: Settings,
    status: Status | None,
    workers: list[Worker],
    images: Images,
    ask: tuple[str, ...],
) -> Decision:
    grace, old_grace, probes, findings = _grace(pod, policy, settings, status)
    shell = shell_path(settings.shell, policy.shell_source)
    circumstances = Circumstances(
        restart_policy=pod.spec.restart_policy or "Always",
        grace=grace,
        old_grace=old_grace,
        surroundings=surroundings_of(pod),
        shell=shell,
    )
    brought = _bring_shell(pod, policy, settings, workers[0].container)
    sidecars = _plan_sidecars(pod, settings, circumstances, workers, shell if brought else DEFAULT_SHELL)
    circumstances = replace(circumstances, holds=any(sidecar.waits for sidecar in sidecars))
    recorded = status.workers if status else {}
    plans = tuple(plan_worker(facts_of(worker, settings, circumstances, images, recorded)) for worker in workers)
    check_asked_for(settings, workers, plans)
    if not all(plan.may_raise for plan in plans) or _was_kept(pod, plans, grace):
        grace, probes, findings = old_grace, (), [Finding(Reason.GRACE_KEPT)]
        circumstances = replace(circumstances, grace=grace, keeps_grace=True)
        plans = tuple(plan_worker(facts_of(worker, settings, circumstances, images, recorded)) for worker in workers)
    for worker_plan in plans:
        findings += worker_plan.findings
    if policy.registry_trouble is RegistryTrouble.REFUSE:
        check_answered(findings, images)
    moved = tuple([sidecar.name for sidecar in sidecars]) if settings.sidecars is Sidecars.NATIVE else ()
    sidecars += _plan_natives(pod, settings, circumstances)
    for sidecar in sidecars:
        findings += sidecar.findings
    # A dict serves as an ordered set with fast lookups.
    names = dict.fromkeys([plan.name for plan in plans])
    mounted = names | dict.fromkeys([sidecar.name for sidecar in sidecars if sidecar.is_mounted])
    _check_volume(pod, mounted.keys(), names.keys())
    findings.append(_VOLUME_SHARED)
    if brought:
        findings.append(Finding(Reason.SHELL_BROUGHT, detail=f"{policy.shell_source.value}, {policy.shell_image}"))
    mesh = plan_mesh(pod, settings)
    findings += mesh.findings
    annotations, evictions = _evictions(settings, grace)
    restarted = _to_restart(pod, status)
    plan = Plan(
        workers=plans,
        commands=_command_changes(plans, sidecars),
        hooks={s.name: s.hook for s in sidecars if s.hook} | {plan.name: plan.hook for plan in plans if plan.hook},
        mounted=tuple(mounted),
        grace=grace,
        probes=probes,
        labels=mesh.labels,
        annotations=mesh.annotations | annotations,
        status=status,
        moved=moved,
        restarted=restarted,
        brought=brought,
    )
    findings += evictions
    findings += [Finding(Reason.SIDECAR_RESTORED, name) for name in restarted]
    return Decision(Kind.PROTECTED, Finding(Reason.INJECTED), tuple(findings), plan, ask)


def _was_kept(pod: Pod, plans: Iterable[WorkerPlan], grace: int) -> bool:
    """Tell whether an earlier injection, which knew the image's command, did not raise the grace period."""
    return any(plan.is_recorded for plan in plans) and _current_grace(pod) < grace


def _current_grace(pod: Pod) -> int:
    return pod.spec.grace if isinstance(pod.spec.grace, int) else DEFAULT_GRACE


def _bring_shell(pod: Pod, policy: Policy, settings: Settings, worker: Container) -> Brought | None:
    if settings.shell != INJECTED_SHELL:
        return None
    check_room(pod, policy.shell_source)
    return bring(pod, policy.shell_image, policy.shell_source, worker, policy.shell_cpu, policy.shell_memory)


def _plan_sidecars(
    pod: Pod,
    settings: Settings,
    circumstances: Circumstances,
    workers: list[Worker],
    shell: str,
) -> list[SidecarPlan]:
    names = tuple([worker.container.name for worker in workers])
    return [
        plan_sidecar(sidecar_facts(container, settings.sidecars, shell, names, circumstances))
        for container in pod.spec.containers
        if container.name not in names
    ]


def _plan_natives(pod: Pod, settings: Settings, circumstances: Circumstances) -> list[SidecarPlan]:
    """Plan the existing native sidecars; the injected shell may arrive too late for them."""
    return [
        plan_native(sidecar_facts(container, settings.sidecars, DEFAULT_SHELL, (), circumstances))
        for container in pod.spec.init_containers or ()
        if container.is_native_sidecar
    ]


def _command_changes(workers: Iterable[WorkerPlan], sidecars: Iterable[SidecarPlan]) -> tuple[CommandChange, ...]:
    changes = [
        CommandChange(worker.name, worker.before, worker.command, worker.edits)
        for worker in workers
        if worker.before or worker.edits
    ]
    return (*changes, *(CommandChange(sidecar.name, sidecar.before) for sidecar in sidecars if sidecar.before))


def _to_restart(pod: Pod, status: Status | None) -> tuple[str, ...]:
    """Return the sidecars that are no longer native: without the restart policy, they would never end."""
    moved = (status.moved or {}) if status else {}
    containers = pod.spec.init_containers or ()
    return tuple(c.name for c in containers if c.name in moved and not c.is_native_sidecar)


def _evictions(settings: Settings, grace: int) -> tuple[dict[str, str], list[Finding]]:
    if settings.evict is Evict.NEVER:
        return EVICTION_ANNOTATIONS, [Finding(Reason.EVICTION_FORBIDDEN)]
    return {}, [_EVICTION_CUT[settings.evict]] if grace > AUTOSCALER_CUT else []


def _grace(
    pod: Pod, policy: Policy, settings: Settings, status: Status | None
) -> tuple[int, int, tuple[ProbeGrace, ...], list[Finding]]:
    """Raise the grace period, never lower it; also return the original period, which probes keep."""
    current = _current_grace(pod)
    wanted = settings.grace_period or policy.grace_period
    grace = max(current, wanted)
    at_first = status.grace_before(DEFAULT_GRACE) if status else None
    old = current if at_first is None else at_first
    if old >= grace:
        return grace, old, (), []
    # A probe's grace period must be at least 1 s.
    probes = _probes(pod, max(old, 1))
    findings = [Finding(Reason.GRACE_RAISED, detail=f"{old} s to {grace} s")]
    findings += [Finding(Reason.PROBE_GRACE, probe.container, f"{probe.probe}: {probe.seconds} s") for probe in probes]
    return grace, old, probes, findings


def _probes(pod: Pod, seconds: int) -> tuple[ProbeGrace, ...]:
    found: list[ProbeGrace] = []
    for index, container in enumerate(pod.spec.containers):
        if container.liveness or container.startup:
            found += _probes_of(container, "containers", index, seconds)
    for index, container in enumerate(pod.spec.init_containers or ()):
        if container.is_native_sidecar:
            found += _probes_of(container, "initContainers", index, seconds)
    return tuple(found)


def _probes_of(container: Container, container_list: str, index: int, seconds: int) -> list[ProbeGrace]:
    return [
        ProbeGrace(container_list, index, container.name, name, probe.grace, seconds)
        for name, probe in (("livenessProbe", container.liveness), ("startupProbe", container.startup))
        if probe and (not isinstance(probe.grace, int) or probe.grace == seconds)
    ]


def _check_volume(pod: Pod, mounted: Set[str], workers: Set[str]) -> None:
    for volume in pod.spec.volumes or ():
        if volume.is_shared and not volume.empty_dir:
            raise Refused(Reason.VOLUME_CONFLICT, detail=f"volume {VOLUME} is not an emptyDir; rename your volume")
    for container in (*pod.spec.containers, *(pod.spec.init_containers or ())):
        if container.name not in mounted:
            continue
        for mount in container.mounts or ():
            if not mount.is_shared:
                continue
            if mount.name != VOLUME or (mount.read_only and container.name in workers):
                raise Refused(
                    Reason.VOLUME_CONFLICT,
                    container.name,
                    f"{MOUNT_PATH} is the mount path of volume {quoted(mount.name)}"
                    f"{', read-only' if mount.read_only else ''}; mount it elsewhere",
                )
