"""The decision on a pod: what becomes of it, why, and the plan of what to change."""

from __future__ import annotations

from collections.abc import Iterator, Set

import msgspec
from msgspec import UnsetType

from webhook.core.annotations import (
    ANNOTATIONS,
    DEFAULT_SHELL,
    INJECTED_SHELL,
    Evict,
    Settings,
    Sidecars,
    Unreadable,
    annotation_of,
    read_settings,
)
from webhook.core.hooks import add_hook
from webhook.core.images import NO_IMAGES, Images
from webhook.core.meshes import plan_mesh
from webhook.core.pod import Container, Pod
from webhook.core.reasons import Finding, Kind, Reason
from webhook.core.refusal import Refused, quoted
from webhook.core.roles import (
    Worker,
    check_images,
    find_workers,
    images_to_ask,
    is_labelled,
    is_plainly_no_worker,
    never_touched,
)
from webhook.core.shells import DEFAULT_IMAGE, Brought, Source, bring, check_room, shell_path
from webhook.core.sidecars import plan_sidecar
from webhook.core.status import Status, read_status
from webhook.core.workers import Circumstances, WorkerPlan, check_asked_for, plan_worker
from webhook.core.wrapping import MOUNT_PATH, VOLUME

DEFAULT_GRACE = 30
"""Seconds that Kubernetes gives a pod that asks for nothing else."""
AUTOSCALER_CUT = 600
"""Seconds to which the cluster autoscaler cuts a grace period: its --max-graceful-termination-sec."""
EVICTION_ANNOTATIONS = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
_SOFT = frozenset(
    {
        Reason.COMMAND_UNKNOWN,
        Reason.COMMAND_MISSING,
        Reason.IMAGE_NAME_INVALID,
        Reason.IMAGE_HOST_FORBIDDEN,
        Reason.IMAGE_DENIED,
        Reason.IMAGE_NOT_FOUND,
        Reason.IMAGE_PLATFORM_MISSING,
        Reason.IMAGE_INVALID,
        Reason.REGISTRY_FAILED,
        Reason.REGISTRY_TOO_SLOW,
        Reason.IMAGE_SIGNAL_UNHEARD,
        Reason.SHELL_MISSING,
    }
)
"""Refusals for what graceful-worker cannot know or do: they hit only pods that ask for it by their own label."""


class Policy(msgspec.Struct, frozen=True):
    """What the operator sets.

    The grace period, in seconds; whether pods without the label are workers; the image of the shell that is brought
    into pods that ask for one, and how.
    """

    grace_period: int = 3600
    only_labelled: bool = False
    shell_image: str = DEFAULT_IMAGE
    shell_source: Source = Source.INIT_CONTAINER


class ProbeGrace(msgspec.Struct, frozen=True):
    """A probe that keeps the pod's old grace period, in seconds."""

    container_list: str
    index: int
    """The container's place in its list."""
    container: str
    probe: str
    there: int | UnsetType | None
    """What the probe has, which is no other grace period."""
    seconds: int


class Plan(msgspec.Struct, frozen=True):
    """Everything that a protected pod has; what of it the pod lacks becomes the patch."""

    workers: tuple[WorkerPlan, ...]
    hooks: dict[str, list[str]]
    """The preStop command of each container that gets one."""
    mounted: tuple[str, ...]
    grace: int
    probes: tuple[ProbeGrace, ...]
    labels: dict[str, str]
    annotations: dict[str, str]
    status: Status | None
    """What the pod says of an earlier injection."""
    moved: tuple[str, ...] = ()
    """The sidecars that become native ones."""
    brought: Brought | None = None
    """The shell that the pod's images lack."""


class Decision(msgspec.Struct, frozen=True):
    """What becomes of a pod; `plan` is None where nothing does.

    `ask` names the containers whose images would have to be known to decide otherwise.
    """

    outcome: Kind
    verdict: Finding
    findings: tuple[Finding, ...] = ()
    plan: Plan | None = None
    ask: tuple[str, ...] = ()

    @property
    def reason(self) -> Reason:
        """The one reason that stands for the whole decision."""
        return self.verdict.reason


def decide(pod: Pod, policy: Policy, images: Images = NO_IMAGES) -> Decision:
    """Decide what becomes of a pod, by what is known of its images."""
    ask: tuple[str, ...] = ()
    try:
        untouched = never_touched(pod)
        if untouched is not None:
            return _left_alone(Finding(untouched))
        labelled = is_labelled(pod)
        if policy.only_labelled and not labelled:
            return _left_alone(Finding(Reason.NOT_LABELLED))
        settings = _settings(pod)
        workers = find_workers(pod, settings, images)
        if not labelled and is_plainly_no_worker(pod, workers, images):
            return _left_alone(Finding(Reason.NOT_A_WORKER, workers[0].container.name))
        ask = images_to_ask(pod, workers, settings)
        check_images(workers, images)
        return _protect(pod, policy, settings, workers, images)
    except Refused as refused:
        reason = refused.finding.reason
        outcome = Kind.LEFT_ALONE if reason in _SOFT and not is_labelled(pod) else Kind.REFUSED
        # Whatever else is wrong with the pod, no image mends it.
        wanted = [name for name in ask if name not in images] if reason is Reason.COMMAND_UNKNOWN else []
        return Decision(outcome, refused.finding, ask=tuple(wanted))


def _left_alone(finding: Finding) -> Decision:
    return Decision(Kind.LEFT_ALONE, finding)


def _settings(pod: Pod) -> Settings:
    try:
        return read_settings(pod.annotations)
    except Unreadable as unreadable:
        raise _refused_annotation(unreadable) from None


def _refused_annotation(unreadable: Unreadable) -> Refused:
    known = unreadable.annotation
    if known is None:
        names = ", ".join(annotation.name for annotation in ANNOTATIONS)
        return Refused(
            Reason.ANNOTATION_UNKNOWN,
            detail=f"annotation {quoted(unreadable.key)[1:-1]} = {quoted(unreadable.value)}; known are {names}",
        )
    return Refused(
        Reason.ANNOTATION_INVALID,
        detail=f"annotation {known.key} is {quoted(unreadable.value)}; accepted: {known.accepts}",
    )


def _protect(pod: Pod, policy: Policy, settings: Settings, workers: list[Worker], images: Images) -> Decision:
    status = read_status(pod.annotations)
    grace, probes, findings = _grace(pod, policy, settings, status)
    shell = shell_path(settings.shell, policy.shell_source)
    signals = {name: worker.image_signal for name, worker in status.workers.items()} if status else {}
    circumstances = Circumstances(pod.spec.restart_policy or "Always", grace, shell, images, signals)
    plans = tuple(plan_worker(worker, settings, circumstances) for worker in workers)
    check_asked_for(settings, workers, plans)
    # In order, and looked up quickly: a dict serves as an ordered set.
    names = dict.fromkeys(plan.name for plan in plans)
    hooks: dict[str, list[str]] = {}
    for worker, worker_plan in zip(workers, plans, strict=True):
        findings += worker_plan.findings
        findings += add_hook(hooks, worker.container, shell, (), is_worker=True)
    sidecars = [container for container in pod.spec.containers if container.name not in names]
    brought = None
    if settings.shell == INJECTED_SHELL:
        check_room(pod, policy.shell_source)
        brought = bring(pod, policy.shell_image, policy.shell_source)
    for container in sidecars:
        findings += plan_sidecar(container, settings, hooks, shell if brought else DEFAULT_SHELL, tuple(names))
    for container in pod.spec.init_containers or ():
        if container.is_native_sidecar:
            findings.append(Finding(Reason.SIDECAR_NATIVE, container.name))
    hooked = settings.sidecars is Sidecars.HOOK
    mounted = names | dict.fromkeys(c.name for c in sidecars) if hooked else names
    _check_volume(pod, mounted.keys(), names.keys())
    findings.append(Finding(Reason.VOLUME_SHARED, detail=f"{VOLUME}, at {MOUNT_PATH}"))
    if brought:
        findings.append(Finding(Reason.SHELL_BROUGHT, detail=f"{policy.shell_source.value}, {policy.shell_image}"))
    mesh = plan_mesh(pod, settings)
    findings += mesh.findings
    annotations = dict(mesh.annotations)
    if settings.evict is Evict.NEVER:
        annotations |= EVICTION_ANNOTATIONS
        findings.append(Finding(Reason.EVICTION_FORBIDDEN))
    elif grace > AUTOSCALER_CUT:
        findings.append(Finding(Reason.EVICTION_CUT, detail=f"{annotation_of('evict')}: {Evict.NEVER.value}"))
    moved = tuple(c.name for c in sidecars) if settings.sidecars is Sidecars.NATIVE else ()
    plan = Plan(plans, hooks, tuple(mounted), grace, probes, mesh.labels, annotations, status, moved, brought)
    return Decision(Kind.PROTECTED, Finding(Reason.INJECTED), tuple(findings), plan)


def _grace(
    pod: Pod, policy: Policy, settings: Settings, status: Status | None
) -> tuple[int, tuple[ProbeGrace, ...], list[Finding]]:
    """Raise the grace period, never lower it, and let probes keep the one that the pod had at first."""
    current = pod.spec.grace if isinstance(pod.spec.grace, int) else DEFAULT_GRACE
    wanted = settings.grace_period or policy.grace_period
    grace = max(current, wanted)
    at_first = status.grace_before(DEFAULT_GRACE) if status else None
    old = current if at_first is None else at_first
    if old >= grace:
        return grace, (), []
    # A probe's own grace period is at least 1 s: 0 is not valid there.
    probes = tuple(_probes(pod, max(old, 1)))
    findings = [Finding(Reason.GRACE_RAISED, detail=f"{old} s to {grace} s")]
    findings += [Finding(Reason.PROBE_GRACE, probe.container, f"{probe.probe}: {probe.seconds} s") for probe in probes]
    return grace, probes, findings


def _probes(pod: Pod, seconds: int) -> Iterator[ProbeGrace]:
    for index, container in enumerate(pod.spec.containers):
        yield from _probes_of(container, "containers", index, seconds)
    for index, container in enumerate(pod.spec.init_containers or ()):
        if container.is_native_sidecar:
            yield from _probes_of(container, "initContainers", index, seconds)


def _probes_of(container: Container, container_list: str, index: int, seconds: int) -> Iterator[ProbeGrace]:
    for name, probe in (("livenessProbe", container.liveness), ("startupProbe", container.startup)):
        if probe is not None and (not isinstance(probe.grace, int) or probe.grace == seconds):
            yield ProbeGrace(container_list, index, container.name, name, probe.grace, seconds)


def _check_volume(pod: Pod, mounted: Set[str], workers: Set[str]) -> None:
    for volume in pod.spec.volumes or ():
        if volume.is_shared and not volume.empty_dir:
            raise Refused(
                Reason.VOLUME_CONFLICT, detail=f"volume {VOLUME} is no emptyDir; give your volume another name"
            )
    for container in pod.spec.containers:
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
