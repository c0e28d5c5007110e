"""Chooses the mode of a worker: the annotation's, else the framework's, else signal."""

from __future__ import annotations

from webhook.core.annotations import Mode, Settings, annotation_of
from webhook.core.errors import Refused
from webhook.core.formatting import quoted
from webhook.core.plan.parent import has_probe_of_process_1
from webhook.core.plan.worker_facts import ExaminedWorker
from webhook.core.reasons import Finding, Reason
from webhook.core.recognize.frameworks import Match
from webhook.core.recognize.launchers import basename
from webhook.core.recognize.processes import must_be_process_1, signals_its_group, signals_others
from webhook.core.recognize.variables import has_reference


def choose_mode(worker: ExaminedWorker) -> tuple[Mode, Finding]:
    """Choose the mode, and tell why.

    Raises:
        Refused: loop mode was requested for a pod that runs to completion.

    """
    name = worker.container.name
    settings = worker.settings
    requested = requested_mode(settings)
    if worker.runs_to_completion:
        if requested is Mode.LOOP:
            policy = worker.container.restart_policy or worker.context.restart_policy
            raise Refused(
                Reason.ANNOTATION_CONFLICT,
                name,
                f"annotation {annotation_of('mode')} is {quoted(Mode.LOOP.value)}, but the pod's restartPolicy is "
                f"{quoted(policy)}: the pod runs to completion; write signal, or remove the annotation",
            )
        return Mode.SIGNAL, Finding(Reason.RUN_TO_COMPLETION, name)
    if requested is not Mode.AUTO:
        return requested, Finding(Reason.MODE_ASKED, name, requested.value)
    framework = worker.framework
    if framework is None:
        return Mode.SIGNAL, Finding(Reason.MODE_DEFAULT, name)
    obstacle = _explain_impossible_loop(worker) if framework.mode is Mode.LOOP else ""
    if obstacle:
        return Mode.SIGNAL, Finding(Reason.LOOP_IMPOSSIBLE, name, obstacle)
    return framework.mode, Finding(Reason.MODE_KNOWN, name, f"{framework.mode.value}: {framework.why}")


def requested_mode(settings: Settings) -> Mode:
    """Return the mode that the annotations request."""
    return Mode.SIGNAL if settings.mode is Mode.AUTO and settings.stop_signal else settings.mode


def ends_by_itself(worker: ExaminedWorker) -> bool:
    """Tell whether a run ends soon after its message, in a shell script that cannot be looped.

    Mostly, that is a loop that ends at its own kill file. As process 1, the shell keeps every signal from
    the run. PHP without pcntl would die of one in the middle of the message.
    """
    match = worker.match
    return (
        match is not None
        and match.framework.mode is Mode.LOOP
        and requested_mode(worker.settings) is Mode.AUTO
        and worker.line.in_shell
        and not match.program.is_process_1
        and _is_limited(match)
    )


def _is_limited(match: Match) -> bool:
    """Tell whether a command has all the flags by which it exits after a message, or after a while without one."""
    words = match.program.words
    return all(flag.given_in(words) for flag in match.framework.flags if flag.mode is Mode.LOOP)


def _explain_impossible_loop(worker: ExaminedWorker) -> str:
    """Return why a framework's command, which exits after a message, cannot be looped; empty if it can."""
    if must_be_process_1([worker.line.process_1]):
        return f"{basename(worker.process_1)} has to be process 1"
    if has_probe_of_process_1(worker.container):
        return "a probe checks process 1"
    if not _can_loop(worker):
        return "write the whole command as a list, without a shell"
    if worker.match and _has_unknown_argument(worker.match):
        return "an argument's value is unknown; write it out, or set mode: loop"
    return ""


def _has_unknown_argument(match: Match) -> bool:
    """Tell whether an argument that may forbid a loop is a variable whose value is not in the manifest."""
    if not match.framework.unfit:
        return False
    arguments = [word for word in match.program.words[match.end :] if not word.startswith("-")]
    # The kubelet replaces `$(NAME)`; a shell, `$NAME` and more.
    in_shell = match.program.start is None
    return any("$" in word for word in arguments) if in_shell else has_reference(arguments)


def _can_loop(worker: ExaminedWorker) -> bool:
    """Tell whether a framework's command is known well enough, and its shell script plain enough."""
    match = worker.match
    if match is None or match.has_unknown_launcher or not worker.is_complete or match.program.is_hidden:
        return False
    if not worker.line.in_shell:
        return True
    # A shell in a loop is not process 1, so it would not survive such a signal.
    is_hit = signals_its_group(worker.argv) or signals_others(worker.hook)
    return _is_limited(match) and not worker.has_own_loop and not worker.line.in_background and not is_hit
