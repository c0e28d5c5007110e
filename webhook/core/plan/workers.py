"""Plans how each worker container runs: mode, signal, and what is put before its command."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from webhook.core.annotations import (
    PASSED_SIGNALS,
    Mode,
    Settings,
    annotation_of,
)
from webhook.core.errors import Refused
from webhook.core.images import Image, image_signal
from webhook.core.plan.cautions import find_cautions
from webhook.core.plan.command import Treatment, choose_treatment, explain_needed_parent, plan_wrapper
from webhook.core.plan.flags import Edit, plan_flags
from webhook.core.plan.lookup_failures import is_trouble
from webhook.core.plan.memoization import memoized
from webhook.core.plan.mode import choose_mode, requested_mode
from webhook.core.plan.prestop_hooks import Hook, plan_worker_hook
from webhook.core.plan.worker_facts import DEFAULT_SIGNAL, NO_SIGNAL, WorkerCase, WorkerFacts, examine
from webhook.core.pod import Container
from webhook.core.reasons import Finding, Reason
from webhook.core.recognize.processes import (
    catches_anyway,
    must_be_first,
    signal_to_process_1,
)
from webhook.core.select.workers import Worker
from webhook.core.wrapper import SIGNALS, is_wrapped


class WorkerPlan(msgspec.Struct, frozen=True, gc=False):
    """The plan for a worker container.

    `before` is put before its command, None if that stays unchanged. `command` is the command to add if the manifest
    has none, `edits` are changes of the existing words. `signal` is empty if the kubelet's signal is right.
    """

    name: str
    mode: Mode
    framework: str
    findings: tuple[Finding, ...]
    hook: list[str] | None = None
    """Its preStop command, if it gets a hook."""
    signal: str = ""
    before: list[str] | None = None
    command: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    image_signal: str = ""
    is_recorded: bool = False
    """Whether an earlier injection's record, which gave it its hook, is all that is known about the command."""
    may_raise: bool = True
    """Whether the grace period may be raised: not if the worker may ignore signals and cannot get a parent."""


@memoized(WorkerFacts)
def plan_worker(facts: WorkerFacts) -> WorkerPlan:
    """Plan a worker.

    Raises:
        Refused: the pod's settings contradict each other, or cannot be applied.

    """
    case = examine(facts)
    mode, why = choose_mode(case)
    wanted = _wanted_signal(case) if mode is Mode.SIGNAL else ""
    needs = "" if mode is Mode.LOOP else explain_needed_parent(case, wanted)
    treatment, because = choose_treatment(case, mode, needs)
    may_raise = _may_raise(case, treatment, needs)
    if why.reason is Reason.MODE_DEFAULT:
        why = Finding(Reason.MODE_DEFAULT, case.container.name, _unknown(case, treatment, may_raise=may_raise))
    grace = None if case.circumstances.keeps_grace else case.circumstances.grace
    flags = plan_flags(case.argv, case.match, mode, grace, case.container.name)
    before = plan_wrapper(case, treatment, wanted)
    if (before is None and not case.is_writable) or case.stands_in_args or (case.match and case.match.launched):
        flags = flags.only_told()
    framework = case.framework
    said = signal_to_process_1(case.hook)
    if not wanted and not framework and not case.line.in_shell:
        wanted = said
    name = case.container.name
    role = Finding(facts.reason, name, framework.title if framework else "")
    hook, said_of_hook = _hook(case, _action(case, mode, treatment, wanted, said) if may_raise else "", before)
    return WorkerPlan(
        name,
        mode,
        framework.name if framework else "",
        (role, *_of_image(case), why, *find_cautions(case, mode), *flags.findings, because, *said_of_hook),
        hook,
        wanted if wanted not in (case.kubelet_signal, NO_SIGNAL) else "",
        before,
        tuple(case.argv[: len(case.argv) - len(case.container.args or ())]) if _writes_command(case, before) else (),
        flags.edits,
        _image_signal(facts),
        case.is_recorded,
        may_raise,
    )


def _hook(case: WorkerCase, action: str, before: list[str] | None) -> Hook:
    container = case.container
    if case.shell_less:
        return None, [Finding(Reason.HOOK_IMPOSSIBLE, container.name, case.shell_less)]
    if case.is_recorded and not container.unchainable_hook:
        return None, []
    # Another webhook may have put its own program in front of the wrapper; these programs exec what they start.
    ours = before is not None or is_wrapped(container.argv)
    circumstances = case.circumstances
    return plan_worker_hook(container, circumstances.shell, action, holds=circumstances.holds, first_is_ours=ours)


def _of_image(case: WorkerCase) -> list[Finding]:
    name, image = case.container.name, case.facts.image
    if isinstance(image, Image):
        stale = [Finding(Reason.IMAGE_STALE, name, image.stale)] if image.stale else []
        return [Finding(Reason.COMMAND_OF_IMAGE, name, image.source), *stale]
    if image is None:
        return []
    # A known or requested mode needs no lookup.
    needs = not (case.framework or case.is_recorded or requested_mode(case.settings) is not Mode.AUTO)
    trouble = [Finding(Reason.REGISTRY_TROUBLE, name, image.reason.value)] if needs and is_trouble(image) else []
    return [Finding(Reason.IMAGE_UNKNOWN, name, str(image)), *trouble]


def _image_signal(facts: WorkerFacts) -> str:
    if isinstance(facts.image, Image):
        return image_signal(facts.image)
    return facts.recorded.image_signal if facts.recorded else ""


def _may_raise(case: WorkerCase, treatment: Treatment, needs: str) -> bool:
    """Tell whether the longer grace period would not be waited for in vain.

    A Job ends by itself, except for a worker behind a shell, which would never get the signal. A worker handles the
    signal if the mode was requested, or if its command is unknown and not a program that often ignores signals.
    """
    if treatment is not Treatment.KEPT or case.settings.mode is not Mode.AUTO:
        return True
    if case.runs_to_completion:
        return case.is_first if case.framework else not case.loops
    if case.runtime and not case.runtime.ends:
        return False
    if must_be_first(case.argv):
        return True
    # Whether an image's own command handles signals is unknown; whether a shell in its arguments does is known.
    return not needs or not (case.is_writable or case.line.in_shell)


def _writes_command(case: WorkerCase, before: list[str] | None) -> bool:
    return before is not None and not case.container.command


def _unknown(case: WorkerCase, treatment: Treatment, *, may_raise: bool) -> str:
    """Describe what will happen to an unknown worker, which may or may not handle the signal."""
    # Other signals are not recorded.
    signal = case.kubelet_signal if case.kubelet_signal in PASSED_SIGNALS else DEFAULT_SIGNAL
    old_grace = case.circumstances.old_grace
    if treatment is Treatment.GIVEN_PARENT and case.line.is_shell and not case.line.hides:
        return f"its shell ignores signals; for more than {old_grace} s, set {annotation_of('mode')}: signal"
    if treatment is Treatment.GIVEN_PARENT and catches_anyway(case.line.chain):
        return f"gets {signal}, and ends at once unless it handles it"
    if treatment is Treatment.GIVEN_PARENT:
        return f"gets the full grace period if it handles {signal}, else {old_grace} s as before"
    if not may_raise:
        return "left unchanged"
    return f"must exit on {signal}, or its pod hangs; {annotation_of('grace_period')} limits that"


def _wanted_signal(case: WorkerCase) -> str:
    """Choose the worker's signal: the annotation's, else the framework's; empty for the kubelet's."""
    return case.settings.stop_signal or (case.framework.signal if case.framework else "")


def _action(case: WorkerCase, mode: Mode, treatment: Treatment, wanted: str, said: str) -> str:
    """Choose what the hook does after creating the kill file."""
    if case.circumstances.surroundings.shares_processes:
        return ""
    if mode is Mode.LOOP or treatment is Treatment.GIVEN_PARENT:
        return _listen(case, DEFAULT_SIGNAL)
    framework = case.framework
    if case.is_first and framework and wanted == NO_SIGNAL:
        return "stay"
    children = case.match.children_at_work if case.match else 0
    known = bool(framework or case.settings.stop_signal)
    # A kubelet that restarts during the drain sends the signal again; the hook does not.
    once = bool(children or (framework and framework.second_is_fatal))
    if case.is_first and known and (once or wanted not in ("", case.kubelet_signal)):
        return "stay" if said == wanted else f"send {SIGNALS[wanted]} {children}"
    if case.line.in_shell and not case.is_first:
        # The shell would ignore any signal.
        return ""
    return _listen(case, case.kubelet_signal)


def _listen(case: WorkerCase, signal: str) -> str:
    number = SIGNALS.get(signal)
    return f"listen {number} {case.circumstances.old_grace}" if number else ""


def check_asked_for(settings: Settings, workers: Iterable[Worker], plans: Iterable[WorkerPlan]) -> None:
    """Check that every annotation has an effect.

    Raises:
        Refused: an annotation has no effect on this pod.

    """
    modes = {plan.mode for plan in plans}
    if settings.loop_delay is not None and Mode.LOOP not in modes:
        raise _useless("loop_delay", "no worker runs in loop mode")
    if settings.stop_signal is not None and Mode.SIGNAL not in modes:
        raise _useless("stop_signal", "no worker runs in signal mode")
    if settings.command is not None and all(_has_own_command(worker.container) for worker in workers):
        raise _useless("command", "every worker has a command: in the manifest")


def _has_own_command(container: Container) -> bool:
    return bool(container.command) and not is_wrapped(container.argv)


def _useless(field: str, why: str) -> Refused:
    return Refused(
        Reason.ANNOTATION_CONFLICT, detail=f"annotation {annotation_of(field)} has no effect, because {why}; remove it"
    )
