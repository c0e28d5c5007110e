"""The decision on a pod: what becomes of it, why, and the plan of what to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

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
from webhook.core.meshes import plan_mesh, shell_less_proxy
from webhook.core.pod import Container, Handler, Pod, is_native_sidecar
from webhook.core.reasons import Finding, Kind, Reason
from webhook.core.refusal import Refused, quoted
from webhook.core.roles import Worker, find_workers, is_labelled, is_plainly_no_worker, never_touched
from webhook.core.status import Status, read_status
from webhook.core.workers import Circumstances, WorkerPlan, check_asked_for, plan_worker
from webhook.core.wrapping import MOUNT_PATH, VOLUME, chained_hook, sidecar_hook, worker_hook

DEFAULT_GRACE = 30
"""Seconds that Kubernetes gives a pod that asks for nothing else."""
AUTOSCALER_CUT = 600
"""Seconds to which the cluster autoscaler cuts a grace period: its --max-graceful-termination-sec."""
EVICTION_ANNOTATIONS = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
_SOFT = frozenset({Reason.COMMAND_UNKNOWN, Reason.SHELL_UNSUPPORTED, Reason.SIDECARS_UNSUPPORTED})
"""Refusals for what graceful-worker cannot do: they hit only pods that ask for it by their own label."""


class Policy(msgspec.Struct, frozen=True):
    """What the operator sets: the grace period, in seconds, and whether pods without the label are workers."""

    grace_period: int = 3600
    only_labelled: bool = False


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


class Decision(msgspec.Struct, frozen=True):
    """What becomes of a pod; `plan` is None where nothing does."""

    outcome: Kind
    verdict: Finding
    findings: tuple[Finding, ...] = ()
    plan: Plan | None = None

    @property
    def reason(self) -> Reason:
        """The one reason that stands for the whole decision."""
        return self.verdict.reason


def decide(pod: Pod, policy: Policy) -> Decision:
    """Decide what becomes of a pod."""
    try:
        untouched = never_touched(pod)
        if untouched is not None:
            return _left_alone(Finding(untouched))
        labelled = is_labelled(pod)
        if policy.only_labelled and not labelled:
            return _left_alone(Finding(Reason.NOT_LABELLED))
        settings = _settings(pod)
        workers = find_workers(pod, settings)
        if not labelled and is_plainly_no_worker(pod, workers):
            return _left_alone(Finding(Reason.NOT_A_WORKER, workers[0].container.name))
        return _protect(pod, policy, settings, workers)
    except Refused as refused:
        if refused.finding.reason in _SOFT and not is_labelled(pod):
            return _left_alone(refused.finding)
        return Decision(Kind.REFUSED, refused.finding)


def _left_alone(finding: Finding) -> Decision:
    return Decision(Kind.LEFT_ALONE, finding)


def _settings(pod: Pod) -> Settings:
    try:
        settings = read_settings(pod.annotations)
    except Unreadable as unreadable:
        raise _refused_annotation(unreadable) from None
    if settings.shell == INJECTED_SHELL:
        raise Refused(
            Reason.SHELL_UNSUPPORTED,
            detail=f"annotation {annotation_of('shell')}: write the path of a shell in the image",
        )
    if settings.sidecars is Sidecars.NATIVE:
        raise Refused(
            Reason.SIDECARS_UNSUPPORTED,
            detail=f"annotation {annotation_of('sidecars')}: write {Sidecars.HOOK.value} or {Sidecars.IGNORE.value}",
        )
    return settings


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


def _protect(pod: Pod, policy: Policy, settings: Settings, workers: list[Worker]) -> Decision:
    status = read_status(pod.annotations)
    grace, probes, findings = _grace(pod, policy, settings, status)
    circumstances = Circumstances(pod.spec.restart_policy or "Always", grace)
    plans = tuple(plan_worker(worker, settings, circumstances) for worker in workers)
    check_asked_for(settings, workers, plans)
    # In order, and looked up quickly: a dict serves as an ordered set.
    names = dict.fromkeys(plan.name for plan in plans)
    hooks: dict[str, list[str]] = {}
    for worker, worker_plan in zip(workers, plans, strict=True):
        findings += worker_plan.findings
        findings += _add_hook(hooks, worker.container, settings.shell, (), is_worker=True)
    sidecars = [container for container in pod.spec.containers if container.name not in names]
    for container in sidecars:
        findings += _sidecar(hooks, container, settings, tuple(names))
    for container in pod.spec.init_containers or ():
        if is_native_sidecar(container):
            findings.append(Finding(Reason.SIDECAR_NATIVE, container.name))
    mounted = names if settings.sidecars is Sidecars.IGNORE else names | dict.fromkeys(c.name for c in sidecars)
    _check_volume(pod, mounted.keys(), names.keys())
    findings.append(Finding(Reason.VOLUME_SHARED, detail=f"{VOLUME}, at {MOUNT_PATH}"))
    mesh = plan_mesh(pod, settings)
    findings += mesh.findings
    annotations = dict(mesh.annotations)
    if settings.evict is Evict.NEVER:
        annotations |= EVICTION_ANNOTATIONS
        findings.append(Finding(Reason.EVICTION_FORBIDDEN))
    elif grace > AUTOSCALER_CUT:
        findings.append(Finding(Reason.EVICTION_CUT, detail=f"{annotation_of('evict')}: {Evict.NEVER.value}"))
    plan = Plan(plans, hooks, tuple(mounted), grace, probes, mesh.labels, annotations, status)
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
        if is_native_sidecar(container):
            yield from _probes_of(container, "initContainers", index, seconds)


def _probes_of(container: Container, container_list: str, index: int, seconds: int) -> Iterator[ProbeGrace]:
    for name, probe in (("livenessProbe", container.liveness), ("startupProbe", container.startup)):
        if probe is not None and (not isinstance(probe.grace, int) or probe.grace == seconds):
            yield ProbeGrace(container_list, index, container.name, name, probe.grace, seconds)


def _sidecar(
    hooks: dict[str, list[str]], container: Container, settings: Settings, workers: Sequence[str]
) -> list[Finding]:
    if settings.sidecars is Sidecars.IGNORE:
        return [Finding(Reason.SIDECAR_IGNORED, container.name)]
    role = Finding(Reason.SIDECAR, container.name)
    proxy = shell_less_proxy(container)
    if proxy:
        return [role, Finding(Reason.PROXY_WITHOUT_SHELL, container.name, proxy.switch)]
    return [role, *_add_hook(hooks, container, DEFAULT_SHELL, workers, is_worker=False)]


def _add_hook(
    hooks: dict[str, list[str]], container: Container, shell: str, workers: Sequence[str], *, is_worker: bool
) -> list[Finding]:
    """Put our preStop hook before the one that is there, where that can be chained."""
    there = container.lifecycle and container.lifecycle.pre_stop
    kept = _unchainable(there) if there else ""
    if kept:
        return [Finding(Reason.HOOK_KEPT if is_worker else Reason.SIDECAR_HOOK_KEPT, container.name, kept)]
    chained = chained_hook((there and there.exec and there.exec.command) or ())
    hooks[container.name] = (
        worker_hook(shell, container.name, chained) if is_worker else sidecar_hook(shell, workers, chained)
    )
    ours = Finding(Reason.KILL_FILE_HOOK if is_worker else Reason.SIDECAR_HOOK, container.name)
    return [ours, Finding(Reason.HOOK_CHAINED, container.name)] if chained else [ours]


def _unchainable(handler: Handler) -> str:
    """Name the kind of a handler that is no command; empty where it is one."""
    kinds = {"httpGet": handler.http_get, "tcpSocket": handler.tcp_socket, "sleep": handler.sleep}
    return next((name for name, action in kinds.items() if action is not None), "")


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
