"""Plans what is put before a worker's command: a loop, a parent process, or nothing."""

from __future__ import annotations

from enum import Enum

from webhook.core.annotations import HEARD_SIGNALS, INJECTED_SHELL, Mode, annotation_of
from webhook.core.errors import Refused
from webhook.core.plan.parent import deaf_because, forbidden_because, parent_settings
from webhook.core.plan.worker_facts import NO_SIGNAL, WorkerCase
from webhook.core.reasons import Finding, Reason
from webhook.core.recognize.processes import signals_others
from webhook.core.text import quoted
from webhook.core.wrapper import SIGNALS, loop, parent

OWN_LOOP_DELAY = 1
"""Seconds between runs of a shell script with its own loop."""


class Treatment(Enum):
    """How a worker's command is treated."""

    KEPT = "kept"
    LOOPED = "looped"
    GIVEN_PARENT = "given-parent"


def choose_treatment(case: WorkerCase, mode: Mode, needs: str) -> tuple[Treatment, Finding]:
    """Choose what happens to the command, and tell why; `needs` is why it needs a parent process.

    Raises:
        Refused: the command cannot run in a loop.

    """
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


def explain_needed_parent(case: WorkerCase, wanted: str) -> str:
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
    is_turned = any(launch.rewrites and not launch.loses_signal(SIGNALS[wanted]) for launch in case.line.launches)
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


def plan_wrapper(case: WorkerCase, treatment: Treatment, wanted: str) -> list[str] | None:
    """Return what is put before the command; None if it stays unchanged."""
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
