"""Plans what is put before a worker's command: a loop, a parent process, or nothing."""

from __future__ import annotations

from enum import Enum

from webhook.core.annotations import HEARD_SIGNALS, INJECTED_SHELL, Mode, annotation_of
from webhook.core.errors import Refused
from webhook.core.formatting import quoted
from webhook.core.plan.parent import explain_forbidden_parent, explain_ignored_signals, parent_settings
from webhook.core.plan.worker_facts import NO_SIGNAL, ExaminedWorker
from webhook.core.reasons import Finding, Reason
from webhook.core.recognize.launchers import basename
from webhook.core.recognize.processes import must_be_process_1, signals_others
from webhook.core.wrapper import SIGNALS, loop, parent

OWN_LOOP_DELAY = 1
"""Seconds between runs of a shell script with its own loop."""


class Treatment(Enum):
    """How a worker's command is treated."""

    KEPT = "kept"
    LOOPED = "looped"
    GIVEN_PARENT = "given-parent"


def choose_treatment(worker: ExaminedWorker, mode: Mode, parent_reason: str) -> tuple[Treatment, Finding]:
    """Choose what happens to the command, and tell why; `parent_reason` is why it needs a parent process.

    Raises:
        Refused: the command cannot run in a loop.

    """
    name = worker.container.name
    if mode is Mode.LOOP:
        _check_loop(worker)
        return Treatment.LOOPED, Finding(Reason.COMMAND_WRAPPED, name, f"{_delay(worker)} s between runs")
    if not parent_reason:
        shared = "the pod's containers share a process namespace" if worker.context.sandbox.shares_processes else ""
        return Treatment.KEPT, Finding(Reason.COMMAND_KEPT, name, shared)
    obstacle = _explain_impossible_parent(worker)
    if obstacle:
        detail = f"{parent_reason}, but it cannot get a parent process: {obstacle}"
        return Treatment.KEPT, Finding(Reason.COMMAND_KEPT, name, detail)
    return Treatment.GIVEN_PARENT, Finding(Reason.PARENT_ADDED, name, parent_reason)


def _check_loop(worker: ExaminedWorker) -> None:
    name = worker.container.name
    if not worker.argv or not worker.is_complete:
        raise Refused(
            Reason.COMMAND_UNKNOWN,
            name,
            f"write the whole command line as command: in the manifest, or copy the image's "
            f'to annotation {annotation_of("command")}: ["program", "argument"]',
        )
    if must_be_process_1([worker.line.process_1]):
        raise Refused(
            Reason.ANNOTATION_CONFLICT,
            name,
            f"annotation {annotation_of('mode')} is {quoted(Mode.LOOP.value)}, but "
            f"{quoted(basename(worker.process_1))} has to be process 1; write signal, or remove the annotation",
        )
    if worker.shell_less:
        detail = f"{worker.shell_less}; set {annotation_of('shell')}: {INJECTED_SHELL}"
        raise Refused(Reason.SHELL_MISSING, name, detail)
    declared = worker.container.stop_signal
    if declared and declared not in HEARD_SIGNALS:
        heard = ", ".join(f"SIG{signal}" for signal in HEARD_SIGNALS)
        detail = f"lifecycle.stopSignal is {quoted(f'SIG{declared}')}; write one of {heard}"
        raise Refused(Reason.STOP_SIGNAL_UNHEARD, name, detail)


def explain_needed_parent(worker: ExaminedWorker, signal: str) -> str:
    """Return why the worker needs a parent process; empty if it does not."""
    line, match = worker.line, worker.match
    if match:
        if not match.framework.ends:
            return ""
        if not worker.is_process_1:
            return f"process 1 is {quoted(worker.process_1)}, not the worker"
        if match.framework.may_ignore:
            return "it may or may not handle the signal"
    elif line.has_hidden_program:
        return f"{quoted(worker.process_1)} hides the worker's command"
    elif reason := explain_ignored_signals(line, worker.context.sandbox):
        return reason
    if signal in ("", NO_SIGNAL, worker.kubelet_signal):
        return ""
    can_hook = not worker.shell_less and not worker.container.unchainable_hook
    no_hook = not worker.is_process_1 or not can_hook or worker.context.sandbox.shares_processes
    if no_hook or (match and _would_rewrite_signal(worker, signal)):
        return f"{signal} is not what the kubelet sends"
    return ""


def _would_rewrite_signal(worker: ExaminedWorker, signal: str) -> bool:
    """Tell whether a parent, and nothing else, would rewrite the kubelet's signal into the right one.

    A hook could also send the right signal. But if the hook fails, the kubelet's signal arrives and aborts the message.
    For unknown programs, that is not certain, so the hook is enough.
    """
    is_rewritten = any(launch.rewrites and not launch.loses_signal(SIGNALS[signal]) for launch in worker.line.launches)
    return worker.kubelet_signal in HEARD_SIGNALS and not is_rewritten and not _explain_impossible_parent(worker)


def _explain_impossible_parent(worker: ExaminedWorker) -> str:
    if worker.runs_to_completion:
        return "it runs to completion"
    if not worker.is_in_manifest:
        return "its command is not in the manifest"
    if worker.shell_less:
        return worker.shell_less
    if signals_others(worker.hook):
        return "its own hook signals processes other than process 1"
    return explain_forbidden_parent(worker.container, worker.argv, worker.line.launches, worker.context.sandbox)


def plan_wrapper(worker: ExaminedWorker, treatment: Treatment, signal: str) -> list[str] | None:
    """Return what is put before the command; None if it stays unchanged."""
    name, shell = worker.container.name, worker.context.shell
    if treatment is Treatment.KEPT or worker.wrapper_is_in_args:
        return None
    if treatment is Treatment.LOOPED:
        return loop(shell, name, _delay(worker), worker.kubelet_signal, worker.container.message_file)
    number = "0" if signal == NO_SIGNAL else str(SIGNALS[signal]) if signal else ""
    searches_descendants = worker.settings.mode is Mode.SIGNAL or worker.settings.stop_signal is not None
    grace, line, match = worker.context.original_grace, worker.line, worker.match
    settings = parent_settings(grace, line, match, number, searches_descendants=searches_descendants)
    return parent(shell, name, settings, worker.kubelet_signal)


def _delay(worker: ExaminedWorker) -> int:
    """Choose the seconds between runs: none, unless set, or unless the shell script has its own loop.

    Such a loop may use its own kill file, which still exists after a liveness restart. Then every run ends at once.
    """
    if worker.settings.loop_delay is not None:
        return worker.settings.loop_delay
    return OWN_LOOP_DELAY if worker.has_own_loop else 0
