"""Plans how each worker container runs: mode, signal, and what is put before its command."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec

from webhook.core.annotations import (
    HEARD_SIGNALS,
    INJECTED_SHELL,
    PASSED_SIGNALS,
    Mode,
    Settings,
    annotation_of,
)
from webhook.core.errors import Refused
from webhook.core.images import Image, image_signal
from webhook.core.plan.flags import Edit, plan_flags
from webhook.core.plan.lookup_failures import is_trouble
from webhook.core.plan.memoization import memoized
from webhook.core.plan.parent import deaf_because, forbidden_because, parent_settings
from webhook.core.plan.prestop_hooks import Hook, plan_worker_hook
from webhook.core.plan.time_limits import cautions
from webhook.core.plan.worker_facts import DEFAULT_SIGNAL, WorkerCase, WorkerFacts, examine
from webhook.core.pod import Container
from webhook.core.reasons import Finding, Reason
from webhook.core.recognize.launchers import Launch
from webhook.core.recognize.processes import (
    catches_anyway,
    must_be_first,
    signal_to_process_1,
    signals_its_group,
    signals_others,
)
from webhook.core.select.workers import Worker
from webhook.core.text import quoted
from webhook.core.wrapper import SIGNALS, is_wrapped, loop, parent

NO_SIGNAL = "CONT"
"""The signal for workers that no signal ends gracefully, but that end by themselves after a message."""
_PREPARES = "its entrypoint runs before each message: leave it out if it runs migrations."
OWN_LOOP_DELAY = 1
"""Seconds between runs of a shell script with its own loop."""


class Treatment(Enum):
    """How a worker's command is treated."""

    KEPT = "kept"
    LOOPED = "looped"
    GIVEN_PARENT = "given-parent"


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
    mode, why = _mode(case)
    wanted = _wanted_signal(case) if mode is Mode.SIGNAL else ""
    needs = "" if mode is Mode.LOOP else _needs_parent(case, wanted)
    treatment, because = _treatment(case, mode, needs)
    may_raise = _may_raise(case, treatment, needs)
    if why.reason is Reason.MODE_DEFAULT:
        why = Finding(Reason.MODE_DEFAULT, case.container.name, _unknown(case, treatment, may_raise=may_raise))
    grace = None if case.circumstances.keeps_grace else case.circumstances.grace
    flags = plan_flags(case.argv, case.match, mode, grace, case.container.name)
    before = _before(case, treatment, wanted)
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
        (role, *_of_image(case), why, *_cautions(case, mode), *flags.findings, because, *said_of_hook),
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
    needs = not (case.framework or case.is_recorded or _asked_mode(case.settings) is not Mode.AUTO)
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


def _mode(case: WorkerCase) -> tuple[Mode, Finding]:
    name = case.container.name
    settings = case.settings
    asked = _asked_mode(settings)
    if case.runs_to_completion:
        if asked is Mode.LOOP:
            policy = case.container.restart_policy or case.circumstances.restart_policy
            raise Refused(
                Reason.ANNOTATION_CONFLICT,
                name,
                f"annotation {annotation_of('mode')} is {quoted(Mode.LOOP.value)}, but the pod's restartPolicy is "
                f"{quoted(policy)}: the pod runs to completion; write signal, or remove the annotation",
            )
        return Mode.SIGNAL, Finding(Reason.RUN_TO_COMPLETION, name)
    if asked is not Mode.AUTO:
        return asked, Finding(Reason.MODE_ASKED, name, asked.value)
    framework = case.framework
    if framework is None:
        return Mode.SIGNAL, Finding(Reason.MODE_DEFAULT, name)
    if framework.mode is Mode.LOOP and not _can_loop(case):
        return Mode.SIGNAL, Finding(Reason.LOOP_IMPOSSIBLE, name)
    return framework.mode, Finding(Reason.MODE_KNOWN, name, f"{framework.mode.value}: {framework.why}")


def _asked_mode(settings: Settings) -> Mode:
    return Mode.SIGNAL if settings.mode is Mode.AUTO and settings.stop_signal else settings.mode


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


def _can_loop(case: WorkerCase) -> bool:
    """Tell whether a framework's command exits after a message, so that it can be looped."""
    match = case.match
    if match is None or match.launched or not case.is_whole or match.program.hidden:
        return False
    if not case.line.in_shell:
        return True
    words = match.program.words
    given = all(flag.given_in(words) for flag in match.framework.flags if flag.mode is Mode.LOOP)
    # A shell in a loop is not process 1, so it would not survive such a signal.
    is_hit = signals_its_group(case.argv) or signals_others(case.hook)
    return given and not case.loops and not case.line.in_background and not is_hit


def _wanted_signal(case: WorkerCase) -> str:
    """Choose the worker's signal: the annotation's, else the framework's; empty for the kubelet's."""
    return case.settings.stop_signal or (case.framework.signal if case.framework else "")


def _treatment(case: WorkerCase, mode: Mode, needs: str) -> tuple[Treatment, Finding]:
    name = case.container.name
    if mode is Mode.LOOP:
        _check_loop(case)
        return Treatment.LOOPED, Finding(Reason.COMMAND_WRAPPED, name, f"{_delay(case)} s between runs")
    if not needs:
        shared = (
            "the pod's containers share a process namespace" if case.circumstances.surroundings.shares_processes else ""
        )
        return Treatment.KEPT, Finding(Reason.COMMAND_KEPT, name, shared)
    forbidden = _no_parent_because(case)
    if forbidden:
        why = f"{needs}, but it cannot get a parent process: {forbidden}"
        return Treatment.KEPT, Finding(Reason.COMMAND_KEPT, name, why)
    return Treatment.GIVEN_PARENT, Finding(Reason.PARENT_ADDED, name, needs)


def _check_loop(case: WorkerCase) -> None:
    name = case.container.name
    if not case.argv or not case.is_whole:
        raise Refused(
            Reason.COMMAND_UNKNOWN,
            name,
            f"write the whole command line as command: in the manifest, or copy the image's "
            f'to annotation {annotation_of("command")}: ["program", "argument"]',
        )
    if case.shell_less:
        detail = f"{case.shell_less}; set {annotation_of('shell')}: {INJECTED_SHELL}"
        raise Refused(Reason.SHELL_MISSING, name, detail)
    declared = (case.container.lifecycle and case.container.lifecycle.stop_signal) or ""
    if declared and declared.removeprefix("SIG") not in HEARD_SIGNALS:
        heard = ", ".join(f"SIG{signal}" for signal in HEARD_SIGNALS)
        raise Refused(
            Reason.STOP_SIGNAL_UNHEARD, name, f"lifecycle.stopSignal is {quoted(declared)}; write one of {heard}"
        )


def _needs_parent(case: WorkerCase, wanted: str) -> str:
    """Return why the worker needs a parent process; empty if it does not."""
    line, match = case.line, case.match
    if match:
        if not case.is_first:
            return f"process 1 is {quoted(line.first)}, not the worker"
        if match.framework.may_ignore:
            return "it may or may not handle the signal"
    elif line.hides:
        return f"{quoted(line.first)} hides the worker's command"
    elif deaf := deaf_because(line, case.circumstances.surroundings):
        return deaf
    if wanted in ("", NO_SIGNAL, case.kubelet_signal):
        return ""
    no_hook = not case.is_first or not case.can_hook or case.circumstances.surroundings.shares_processes
    if no_hook or (match and _can_turn_signal(case, wanted)):
        return f"{wanted} is not what the kubelet sends"
    return ""


def _can_turn_signal(case: WorkerCase, wanted: str) -> bool:
    """Tell whether a parent, and nothing else, would turn the kubelet's signal into the right one.

    A hook could also send the right signal. But if the hook fails, the kubelet's signal arrives and aborts the message.
    For unknown programs, that is not certain, so the hook is enough.
    """
    is_turned = any(launch.rewrites and not _turns_away(launch, wanted) for launch in case.line.launches)
    return case.kubelet_signal in HEARD_SIGNALS and not is_turned and not _no_parent_because(case)


def _no_parent_because(case: WorkerCase) -> str:
    if case.runs_to_completion:
        return "it runs to completion"
    if not case.is_writable:
        return "its command is not in the manifest"
    if case.shell_less:
        return case.shell_less
    if signals_others(case.hook):
        return "its own hook signals processes other than process 1"
    return forbidden_because(case.container, case.argv, case.line.launches, case.circumstances.surroundings)


def _before(case: WorkerCase, treatment: Treatment, wanted: str) -> list[str] | None:
    name, shell = case.container.name, case.circumstances.shell
    if treatment is Treatment.KEPT or case.stands_in_args:
        return None
    if treatment is Treatment.LOOPED:
        return loop(shell, name, _delay(case), case.container.message_file)
    number = str(SIGNALS[wanted]) if wanted and wanted != NO_SIGNAL else ""
    looks_below = case.settings.mode is Mode.SIGNAL or case.settings.stop_signal is not None
    settings = parent_settings(case.circumstances.old_grace, case.line, case.match, number, looks_below=looks_below)
    return parent(shell, name, settings)


def _delay(case: WorkerCase) -> int:
    """Choose the seconds between runs: none, unless set, or unless the shell script has its own loop.

    Such a loop may use its own kill file, which still exists after a liveness restart. Then every run ends at once.
    """
    if case.settings.loop_delay is not None:
        return case.settings.loop_delay
    return OWN_LOOP_DELAY if case.loops else 0


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


def _cautions(case: WorkerCase, mode: Mode) -> list[Finding]:
    name, framework = case.container.name, case.framework
    findings = []
    if mode is Mode.LOOP and case.loops:
        findings.append(Finding(Reason.OWN_LOOP, name))
    if mode is Mode.LOOP and any(launch.launcher.prepares for launch in case.line.launches):
        findings.append(Finding(Reason.FRAMEWORK_CAUTION, name, _PREPARES))
    if (
        framework
        and mode is Mode.SIGNAL
        and any(_turns_away(launch, framework.signal) for launch in case.line.launches)
    ):
        what = f"its launcher rewrites signals, and the worker needs {framework.signal}."
        findings.append(Finding(Reason.FRAMEWORK_CAUTION, name, what))
    if framework and mode is Mode.LOOP and framework.mode is Mode.SIGNAL:
        findings.append(Finding(Reason.NEVER_RETURNS, name))
    if framework and framework.caution and mode is framework.mode:
        findings.append(Finding(Reason.FRAMEWORK_CAUTION, name, framework.caution))
    if framework and framework.note:
        findings.append(Finding(Reason.FRAMEWORK_NOTE, name, framework.note))
    findings += cautions(case.container, case.match, mode, case.circumstances.grace, case.runtime)
    return findings


def _turns_away(launch: Launch, wanted: str) -> bool:
    """Tell whether a launcher rewrites signals, but none to the wanted one."""
    return launch.rewrites and not any(word.endswith(f":{SIGNALS[wanted]}") for word in launch.words)


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
