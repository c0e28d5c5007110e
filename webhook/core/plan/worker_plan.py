"""Plans how each worker container runs: mode, signal, and what is put before its command."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from webhook.core.annotations import PASSED_SIGNALS, Mode, Settings, annotation_of
from webhook.core.errors import Refused
from webhook.core.image_config import Image
from webhook.core.plan.command_wrapper import Treatment, choose_treatment, explain_needed_parent, plan_wrapper
from webhook.core.plan.conflicting_settings import find_cautions
from webhook.core.plan.flags import Edit, plan_flags
from webhook.core.plan.lookup_failures import is_registry_trouble
from webhook.core.plan.memoization import memoized
from webhook.core.plan.mode import choose_mode, ends_by_itself, requested_mode
from webhook.core.plan.prestop_hooks import plan_worker_hook
from webhook.core.plan.worker_facts import DEFAULT_SIGNAL, NO_SIGNAL, ExaminedWorker, WorkerFacts, examine
from webhook.core.reasons import Finding, Reason
from webhook.core.recognize.processes import may_die_of_term, must_be_process_1, signal_to_process_1
from webhook.core.select.workers import Worker
from webhook.core.wrapper import SIGNALS, is_wrapped


class WorkerPlan(msgspec.Struct, frozen=True, gc=False):
    """The plan for a worker container.

    `wrapper` is put before its command, None if that stays unchanged. `command` is the command to add if the manifest
    has none, `edits` are changes of the existing words. `signal` is empty if the kubelet's signal is right.
    """

    name: str
    mode: Mode
    framework: str
    findings: tuple[Finding, ...]
    hook: list[str] | None = None
    """Its preStop command, if it gets a hook."""
    signal: str = ""
    wrapper: list[str] | None = None
    command: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    image_signal: str = ""
    is_recorded: bool = False
    """Whether an earlier injection's record, which gave it its hook, is all that is known about the command."""
    may_raise_grace: bool = True
    """Whether the grace period may be raised: not if the worker may ignore signals and cannot get a parent."""


@memoized(WorkerFacts)
def plan_worker(facts: WorkerFacts) -> WorkerPlan:
    """Plan a worker.

    Raises:
        Refused: the pod's settings contradict each other, or cannot be applied.

    """
    worker = examine(facts)
    name, argv, framework = worker.container.name, worker.argv, worker.framework
    mode, mode_finding = choose_mode(worker)
    signal = _choose_signal(worker) if mode is Mode.SIGNAL else ""
    parent_reason = "" if mode is Mode.LOOP else explain_needed_parent(worker, signal)
    treatment, treatment_finding = choose_treatment(worker, mode, parent_reason)
    may_raise_grace = _may_raise_grace(worker, treatment, parent_reason)
    if mode_finding.reason is Reason.MODE_DEFAULT:
        detail = _describe_unknown_command(worker, treatment, may_raise_grace=may_raise_grace)
        mode_finding = Finding(Reason.MODE_DEFAULT, name, detail)
    flags = plan_flags(argv, worker.match, mode, None if worker.context.keeps_grace else worker.context.grace, name)
    wrapper = plan_wrapper(worker, treatment, signal)
    is_unchangeable = (wrapper is None and not worker.is_in_manifest) or worker.wrapper_is_in_args
    if is_unchangeable or (worker.match and worker.match.has_unknown_launcher):
        flags = flags.for_unchangeable_command()
    hook_signal = signal_to_process_1(worker.hook)
    if not signal and not framework and not worker.line.in_shell:
        signal = hook_signal
    role = Finding(worker.reason, name, framework.title if framework else "")
    action = _hook_action(worker, mode, treatment, signal, hook_signal) if may_raise_grace else ""
    hook, hook_findings = plan_worker_hook(worker, action, wrapper)
    image, cautions = _image_findings(worker), find_cautions(worker, mode)
    writes_command = wrapper is not None and not worker.container.command
    return WorkerPlan(
        name=name,
        mode=mode,
        framework=framework.name if framework else "",
        findings=(role, *image, mode_finding, *cautions, *flags.findings, treatment_finding, *hook_findings),
        hook=hook,
        signal=signal if signal not in (worker.kubelet_signal, NO_SIGNAL) else "",
        wrapper=wrapper,
        command=tuple(argv[: len(argv) - len(worker.container.args or ())]) if writes_command else (),
        edits=flags.edits,
        image_signal=worker.image_signal,
        is_recorded=worker.is_recorded,
        may_raise_grace=may_raise_grace,
    )


def _image_findings(worker: ExaminedWorker) -> list[Finding]:
    name, image = worker.container.name, worker.image
    if isinstance(image, Image):
        stale = [Finding(Reason.IMAGE_STALE, name, image.stale)] if image.stale else []
        return [Finding(Reason.COMMAND_OF_IMAGE, name, image.source), *stale]
    if image is None:
        return []
    findings = [Finding(Reason.IMAGE_UNKNOWN, name, str(image))]
    # A known or requested mode needs no lookup.
    needs_lookup = not (worker.framework or worker.is_recorded or requested_mode(worker.settings) is not Mode.AUTO)
    if needs_lookup and is_registry_trouble(image):
        findings.append(Finding(Reason.REGISTRY_TROUBLE, name, image.reason.value))
    return findings


def _may_raise_grace(worker: ExaminedWorker, treatment: Treatment, parent_reason: str) -> bool:
    """Tell whether the longer grace period would not be waited for in vain.

    A Job ends by itself, except for a worker behind a shell, which would never get the signal. A worker handles the
    signal if the mode was requested, or if its command is unknown and not a program that often ignores signals.
    """
    if treatment is not Treatment.KEPT or worker.settings.mode is not Mode.AUTO:
        return True
    if worker.runs_to_completion:
        return worker.is_process_1 if worker.framework else not worker.has_own_loop
    if (worker.runtime and not worker.runtime.ends) or (worker.framework and not worker.framework.ends):
        return False
    if must_be_process_1(worker.argv):
        return True
    # Whether an image's own command handles signals is unknown; whether a shell in its arguments does is known.
    return not parent_reason or not (worker.is_in_manifest or worker.line.in_shell)


def _describe_unknown_command(worker: ExaminedWorker, treatment: Treatment, *, may_raise_grace: bool) -> str:
    """Describe what will happen to an unknown worker, which may or may not handle the signal."""
    # Other signals are not recorded.
    signal = worker.kubelet_signal if worker.kubelet_signal in PASSED_SIGNALS else DEFAULT_SIGNAL
    original_grace = worker.context.original_grace
    if treatment is Treatment.GIVEN_PARENT and worker.line.is_shell and not worker.line.has_hidden_program:
        return f"shell ignores signals; set {annotation_of('mode')}: signal for more than {original_grace} s"
    if treatment is Treatment.GIVEN_PARENT and may_die_of_term(worker.line.exec_chain):
        return f"gets {signal}, and ends at once unless it handles it"
    if treatment is Treatment.GIVEN_PARENT:
        return f"gets the full grace period if it handles {signal}, else {original_grace} s as before"
    if not may_raise_grace:
        return "left unchanged"
    return f"must exit on {signal}, or its pod hangs; {annotation_of('grace_period')} limits that"


def _choose_signal(worker: ExaminedWorker) -> str:
    """Choose the worker's signal: the annotation's, else the framework's; empty for the kubelet's."""
    if ends_by_itself(worker):
        return NO_SIGNAL
    return worker.settings.stop_signal or (worker.framework.signal if worker.framework else "")


def _hook_action(worker: ExaminedWorker, mode: Mode, treatment: Treatment, signal: str, hook_signal: str) -> str:
    """Choose what the hook does after creating the kill file."""
    if worker.context.sandbox.shares_processes:
        return ""
    if mode is Mode.LOOP or treatment is Treatment.GIVEN_PARENT:
        return _listen_action(worker, DEFAULT_SIGNAL)
    framework = worker.framework
    if worker.is_process_1 and framework and signal == NO_SIGNAL:
        return "stay"
    children = worker.match.children_at_work if worker.match else 0
    known = bool(framework or worker.settings.stop_signal)
    # A kubelet that restarts during the drain sends the signal again; the hook does not.
    once = bool(children or (framework and framework.second_is_fatal))
    if worker.is_process_1 and known and (once or signal not in ("", worker.kubelet_signal)):
        return "stay" if hook_signal == signal else f"send {SIGNALS[signal]} {children}"
    if worker.line.in_shell and not worker.is_process_1:
        # The shell would ignore any signal.
        return ""
    return _listen_action(worker, worker.kubelet_signal)


def _listen_action(worker: ExaminedWorker, signal: str) -> str:
    number = SIGNALS.get(signal)
    return f"listen {number} {worker.context.original_grace}" if number else ""


def check_annotations_apply(settings: Settings, workers: Iterable[Worker], plans: Iterable[WorkerPlan]) -> None:
    """Check that every annotation has an effect.

    Raises:
        Refused: an annotation has no effect on this pod.

    """
    modes = {plan.mode for plan in plans}
    if settings.loop_delay is not None and Mode.LOOP not in modes:
        raise _without_effect("loop_delay", "no worker runs in loop mode")
    if settings.stop_signal is not None and Mode.SIGNAL not in modes:
        raise _without_effect("stop_signal", "no worker runs in signal mode")
    containers = [worker.container for worker in workers]
    if settings.command is not None and all(each.command and not is_wrapped(each.argv) for each in containers):
        raise _without_effect("command", "every worker has a command: in the manifest")


def _without_effect(field: str, why: str) -> Refused:
    return Refused(
        Reason.ANNOTATION_CONFLICT, detail=f"annotation {annotation_of(field)} has no effect, because {why}; remove it"
    )
