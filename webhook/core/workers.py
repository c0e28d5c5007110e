"""How each worker container is to run: its command, mode, signal and flags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from webhook.core.annotations import (
    DEFAULT_SHELL,
    HEARD_SIGNALS,
    HEARD_WITH_KILL_FILE,
    INJECTED_SHELL,
    PASSED_SIGNALS,
    Mode,
    Settings,
    annotation_of,
)
from webhook.core.command_line import CommandLine
from webhook.core.frameworks import Match, find_framework
from webhook.core.images import NO_IMAGES, Image, Images, Unavailable, image_argv, image_signal
from webhook.core.pod import Container
from webhook.core.reasons import Finding, Reason
from webhook.core.refusal import Refused, quoted
from webhook.core.roles import Worker
from webhook.core.wrapping import AWAITS_CHILD, Wrapped, begins_with_wrapper, is_wrapped, wrap, wrapped_argv

OWN_LOOP_DELAY = 1
"""Seconds between runs of a shell string that loops by itself."""
EXIT_MARGIN = 10
"""Seconds of the grace period that a worker's own time limit leaves for its exit."""


class WorkerPlan(msgspec.Struct, frozen=True):
    """What a worker container becomes; `wrapped` is None where the wrapper stands behind another webhook's command."""

    name: str
    mode: Mode
    framework: str
    wrapped: Wrapped | None
    findings: tuple[Finding, ...]
    image_signal: str = ""


class Circumstances(msgspec.Struct, frozen=True):
    """What bears on the workers of a pod.

    Its restart policy; its grace period, in seconds, once raised; the shell; what is known of the images, and which
    signals images were known to be stopped by when the pod was injected into before.
    """

    restart_policy: str
    grace: int
    shell: str = DEFAULT_SHELL
    images: Images = NO_IMAGES
    recorded_signals: Mapping[str, str] = {}


def plan_worker(worker: Worker, settings: Settings, circumstances: Circumstances) -> WorkerPlan:
    """Decide how a worker runs.

    Raises:
        Refused: its command is unknown, or what the pod asks for contradicts itself.

    """
    container = worker.container
    image = circumstances.images.get(container.name)
    argv = _argv(container, settings, image)
    if isinstance(image, Image) and image.shell_less and circumstances.shell == DEFAULT_SHELL:
        detail = f"{image.shell_less}; write {annotation_of('shell')}: {INJECTED_SHELL}"
        raise Refused(Reason.SHELL_MISSING, container.name, detail)
    # The same argv as when the worker was found, unless the annotation says what stands before `args`.
    line, match = worker.found if worker.found and (container.command or image) else find_framework(argv)
    mode, why = _mode(container, settings, circumstances, match)
    framework = match.framework if match else None
    findings = [Finding(worker.reason, container.name, framework.title if framework else "")]
    if isinstance(image, Image):
        findings.append(Finding(Reason.COMMAND_OF_IMAGE, container.name, image.source))
    findings.append(why)
    if line.loops:
        findings.append(Finding(Reason.OWN_LOOP, container.name))
    if framework and mode is Mode.LOOP and framework.mode is Mode.SIGNAL:
        findings.append(Finding(Reason.NEVER_RETURNS, container.name))
    if framework and framework.caution and mode is framework.mode:
        findings.append(Finding(Reason.FRAMEWORK_CAUTION, container.name, framework.caution))
    if framework and framework.note:
        findings.append(Finding(Reason.FRAMEWORK_NOTE, container.name, framework.note))
    declared = _declared_signal(container)
    image_signal = "" if declared else _image_signal(container, image, circumstances)
    setting = _signal(declared or image_signal, settings, match) if mode is Mode.SIGNAL else _delay(settings, line)
    if match:
        argv, said = _with_flags(argv, match, mode, circumstances, container.name)
        findings += said
    name = framework.name if framework else ""
    if is_wrapped(container.argv) and not begins_with_wrapper(container.command or ()):
        return WorkerPlan(container.name, mode, name, None, tuple(findings), image_signal)
    detail = _signal_told(setting) if mode is Mode.SIGNAL else f"loop, {setting} s between runs"
    findings.append(Finding(Reason.COMMAND_WRAPPED, container.name, detail))
    wrapped = wrap(circumstances.shell, container.name, mode.value, setting, argv)
    return WorkerPlan(container.name, mode, name, wrapped, tuple(findings), image_signal)


def _argv(container: Container, settings: Settings, image: Image | Unavailable | None) -> Sequence[str]:
    """Return what the container runs, by the kubelet's rule: `command`, else what the image says, then `args`."""
    wrapped = wrapped_argv(container.argv)
    if wrapped is not None:
        return wrapped
    command: Sequence[str] | None = container.command or settings.command
    if command:
        return [*command, *(container.args or ())]
    if isinstance(image, Unavailable) and image.reason is not Reason.COMMAND_UNKNOWN:
        way = f"{annotation_of('command')} says what it runs"
        raise Refused(image.reason, container.name, image.without_asking(way))
    argv = image_argv(image, container.args or ()) if isinstance(image, Image) else []
    if argv:
        return argv
    raise Refused(
        Reason.COMMAND_MISSING if isinstance(image, Image) else Reason.COMMAND_UNKNOWN,
        container.name,
        f"write the whole command line as command: in the manifest, or what the image runs "
        f'as annotation {annotation_of("command")}: ["program", "argument"]',
    )


def _mode(
    container: Container, settings: Settings, circumstances: Circumstances, match: Match | None
) -> tuple[Mode, Finding]:
    asked = Mode.SIGNAL if settings.mode is Mode.AUTO and settings.stop_signal else settings.mode
    restart_policy = container.restart_policy or circumstances.restart_policy
    if restart_policy != "Always":
        if asked is Mode.LOOP:
            raise Refused(
                Reason.ANNOTATION_CONFLICT,
                container.name,
                f"annotation {annotation_of('mode')} is {quoted(Mode.LOOP.value)}, but the pod's restartPolicy is "
                f"{quoted(restart_policy)}: it is to run to completion; write signal, or leave it out",
            )
        return Mode.SIGNAL, Finding(Reason.RUN_TO_COMPLETION, container.name)
    if asked is not Mode.AUTO:
        return asked, Finding(Reason.MODE_ASKED, container.name, asked.value)
    if match is None:
        return Mode.LOOP, Finding(Reason.MODE_DEFAULT, container.name, f"{annotation_of('mode')}: {Mode.SIGNAL.value}")
    framework = match.framework
    return framework.mode, Finding(Reason.MODE_KNOWN, container.name, f"{framework.mode.value}: {framework.why}")


def _declared_signal(container: Container) -> str:
    """Return the signal that the container says the kubelet is to send it; empty where it says nothing.

    Raises:
        Refused: the wrapper does not hear it. In the loop mode, too: SIGKILL would follow the preStop hook at once.

    """
    declared = (container.lifecycle and container.lifecycle.stop_signal) or ""
    name = declared.removeprefix("SIG")
    if name and name not in HEARD_SIGNALS:
        heard = ", ".join(f"SIG{signal}" for signal in HEARD_SIGNALS)
        raise Refused(
            Reason.STOP_SIGNAL_UNHEARD,
            container.name,
            f"lifecycle.stopSignal is {quoted(declared)}; write one of {heard}; what only the worker is to get "
            f"belongs in annotation {annotation_of('stop_signal')}",
        )
    return name


def _image_signal(container: Container, image: Image | Unavailable | None, circumstances: Circumstances) -> str:
    """Return the signal by which the container's image is stopped; empty where that is not known.

    Raises:
        Refused: the wrapper does not hear it. Some signals it hears only once the kill file is there.

    """
    if not isinstance(image, Image):
        recorded = circumstances.recorded_signals.get(container.name, "")
        return recorded if recorded in PASSED_SIGNALS else ""
    name = image_signal(image)
    hook = container.lifecycle and container.lifecycle.pre_stop
    heard = HEARD_SIGNALS if hook and hook.other_than_exec else (*HEARD_SIGNALS, *HEARD_WITH_KILL_FILE)
    if name and name not in heard:
        raise Refused(
            Reason.IMAGE_SIGNAL_UNHEARD,
            container.name,
            f"it is {quoted(image.stop_signal)}; build the image with one of {', '.join(heard)}, or write "
            f"lifecycle.stopSignal: SIGTERM (Kubernetes 1.33); what only the worker is to get belongs in annotation "
            f"{annotation_of('stop_signal')}",
        )
    return name


def _signal(declared: str, settings: Settings, match: Match | None) -> str:
    """Choose the signal to pass on: the annotation's, else the framework's, else what the kubelet would send."""
    name = settings.stop_signal or (match and match.framework.signal) or declared or HEARD_SIGNALS[0]
    return name + (AWAITS_CHILD if match and match.framework.awaits_child else "")


def _signal_told(setting: str) -> str:
    name = setting.removesuffix(AWAITS_CHILD)
    return f"signal {name}" if name == setting else f"signal {name}, while a job runs or after a second without one"


def _delay(settings: Settings, line: CommandLine) -> str:
    """Choose the seconds between runs: none, unless they are asked for, or the shell string has a loop of its own.

    Such a loop may have a kill file of its own. After a liveness restart it is still there, as nobody but us removes
    his, and then every run ends at once, without a word: the wrapper would take all of a core.
    """
    if settings.loop_delay is not None:
        return str(settings.loop_delay)
    return str(OWN_LOOP_DELAY if line.loops else 0)


def _with_flags(
    argv: Sequence[str], match: Match, mode: Mode, circumstances: Circumstances, container: str
) -> tuple[Sequence[str], list[Finding]]:
    """Insert the flags that the mode needs behind the worker's last known word, so that no `--` swallows them."""
    room = max(circumstances.grace - EXIT_MARGIN, 1)
    findings = [
        Finding(Reason.FLAG_TOO_HIGH, container, f"{flag.names[0]}={given} to {flag.most}")
        for flag in match.framework.flags
        if flag.mode is mode and flag.most and (given := flag.value_in(match.program.words)) > flag.most
    ]
    missing = [
        word.format(grace_seconds=room, grace_milliseconds=room * 1000)
        for flag in match.framework.flags
        if flag.mode is mode and not flag.given_in(match.program.words)
        for word in flag.add
    ]
    if not missing:
        return argv, findings
    detail = " ".join(missing)
    if match.program.start is None:
        return argv, [*findings, Finding(Reason.FLAGS_MISSING, container, detail)]
    behind = match.program.start + match.behind
    return [*argv[:behind], *missing, *argv[behind:]], [*findings, Finding(Reason.FLAGS_ADDED, container, detail)]


def check_asked_for(settings: Settings, workers: Iterable[Worker], plans: Iterable[WorkerPlan]) -> None:
    """Make sure that no annotation goes unused.

    Raises:
        Refused: one of them has no effect on this pod.

    """
    modes = {plan.mode for plan in plans}
    if settings.loop_delay is not None and Mode.LOOP not in modes:
        raise _useless("loop_delay", "no worker runs in loop mode")
    if settings.stop_signal is not None and Mode.SIGNAL not in modes:
        raise _useless("stop_signal", "no worker runs in signal mode")
    if settings.command is not None and all(_has_own_command(worker.container) for worker in workers):
        raise _useless("command", "the manifest gives every worker a command: of its own")


def _has_own_command(container: Container) -> bool:
    return bool(container.command) and not is_wrapped(container.argv)


def _useless(field: str, why: str) -> Refused:
    return Refused(
        Reason.ANNOTATION_CONFLICT, detail=f"annotation {annotation_of(field)} has no effect, because {why}; remove it"
    )
