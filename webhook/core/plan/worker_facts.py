"""Collects the known facts about a worker container before any decision is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from webhook.core.annotations import DEFAULT_SHELL, Settings
from webhook.core.image_config import Image, Images, Unavailable, image_argv, image_signal
from webhook.core.plan.parent import PodSandbox, is_looped
from webhook.core.pod import Container
from webhook.core.reasons import Reason
from webhook.core.recognize.command_line import CommandLine, Program
from webhook.core.recognize.frameworks import (
    FRAMEWORKS,
    Framework,
    Match,
    Recognized,
    Runtime,
    find_framework,
    runtime_of,
)
from webhook.core.recognize.variables import has_reference
from webhook.core.select.workers import Worker
from webhook.core.status import WorkerStatus
from webhook.core.wrapper import is_wrapped, signal_number, wrapped_command

DEFAULT_SIGNAL = "TERM"
NO_SIGNAL = "CONT"
"""The signal for workers that no signal ends gracefully, but that end by themselves after a message."""


class PodContext(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The properties of a pod that affect its workers; grace periods are in seconds."""

    restart_policy: str
    grace: int
    original_grace: int
    sandbox: PodSandbox
    keeps_grace: bool = False
    shell: str = DEFAULT_SHELL
    sidecars_wait: bool = False
    """Whether sidecars need to notice when a worker container ends."""


class WorkerFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Everything that the plan for a worker depends on."""

    container: Container
    """Without fields that do not affect its processes."""
    reason: Reason
    """Why it is a worker."""
    settings: Settings
    context: PodContext
    shell_less: str = ""
    """Why its image has no shell for a hook; empty if it may have one."""
    image: Image | Unavailable | None = None
    recorded: WorkerStatus | None = None
    """The record of an earlier injection."""


class ExaminedWorker(WorkerFacts, frozen=True, gc=False, kw_only=True):
    """A worker container with all known facts, before any decision."""

    argv: Sequence[str]
    """The command line, as far as it is known, with its references to variables."""
    is_complete: bool
    """Whether the whole command line is known; not if only the image knows the command for `args`."""
    is_in_manifest: bool
    """Whether the command is in the manifest, so that it can be wrapped."""
    line: CommandLine
    """The command line with the values of its variables: only `argv` and `process_1` are for messages."""
    match: Match | None
    runtime: Runtime | None
    image_signal: str
    """The stop signal of its image; empty if it is not known."""
    kubelet_signal: str
    runs_to_completion: bool
    wrapper_is_in_args: bool
    """Whether another webhook put its own command in front, so that the wrapper is in the arguments."""

    @property
    def framework(self) -> Framework | None:
        """The known framework."""
        return self.match.framework if self.match else None

    @property
    def is_process_1(self) -> bool:
        """Whether process 1 is the worker, or forwards signals only to the worker."""
        if self.match:
            return self.match.program.is_process_1 and not self.match.has_unknown_launcher
        return not self.line.programs or self.line.programs[-1].is_process_1

    @property
    def process_1(self) -> str:
        """The final stage of process 1 for messages: the value of a variable may be secret."""
        name = self.line.process_1
        is_written = not has_reference(self.argv) or any(name in word for word in self.argv)
        return name if is_written else "$(…)"

    @property
    def has_own_loop(self) -> bool:
        """Whether a loop in the shell script restarts the worker."""
        return is_looped(self.line, self.match)

    @property
    def hook(self) -> Sequence[str]:
        """The exec command of the container's own preStop hook."""
        return wrapped_command(self.container.hook_command)

    @property
    def is_recorded(self) -> bool:
        """Whether an earlier injection's record is all that is known about the command."""
        return self.recorded is not None and not self.is_complete


def facts_of(
    worker: Worker, settings: Settings, context: PodContext, images: Images, recorded: Mapping[str, WorkerStatus]
) -> WorkerFacts:
    """Collect what the plan for a worker depends on."""
    container = worker.container
    image = images.get(container.name)
    shell_less = ""
    if context.shell == DEFAULT_SHELL:
        shell_less = (isinstance(image, Image) and image.shell_less) or container.hints.shell_less
    record = recorded.get(container.name)
    return WorkerFacts(container.of_processes(), worker.reason, settings, context, shell_less, image, record)


def examine(facts: WorkerFacts) -> ExaminedWorker:
    """Examine a worker container."""
    container, settings, context = facts.container, facts.settings, facts.context
    image, recorded = facts.image, facts.recorded
    argv, is_complete = _argv(container, settings, image)
    found = find_framework(container.expand(argv))
    line, match = found if is_complete else _recorded_framework(found, recorded)
    signal = image_signal(image) if isinstance(image, Image) else recorded.image_signal if recorded else ""
    # Others can edit the record.
    is_valid = isinstance(image, Image) or signal_number(signal)
    return ExaminedWorker(
        **msgspec.structs.asdict(facts),
        argv=argv,
        is_complete=is_complete,
        is_in_manifest=bool(container.command or settings.command) and is_complete,
        line=line,
        match=match,
        runtime=runtime_of(line),
        image_signal=signal,
        kubelet_signal=container.stop_signal or (signal if is_valid else "") or DEFAULT_SIGNAL,
        runs_to_completion=(container.restart_policy or context.restart_policy) != "Always",
        wrapper_is_in_args=is_wrapped(container.args or ()),
    )


def _argv(container: Container, settings: Settings, image: Image | Unavailable | None) -> tuple[Sequence[str], bool]:
    """Return the container's command line by the kubelet's rule, and whether it is complete.

    That is `command`, else the image's, followed by `args`.
    """
    if is_wrapped(container.argv):
        return wrapped_command(container.argv), True
    command: Sequence[str] | None = container.command or settings.command
    if command:
        return [*command, *(container.args or ())], True
    if isinstance(image, Image):
        argv = image_argv(image, container.args or ())
        return argv, bool(argv)
    return list(container.args or ()), False


def _recorded_framework(found: Recognized, recorded: WorkerStatus | None) -> Recognized:
    """Return the framework that an earlier injection recognised from the image."""
    framework = FRAMEWORKS.get(recorded.framework) if recorded else None
    line, match = found
    if framework is None or match is not None:
        return found
    # The command line, which was looked up from the image, is no longer known.
    return line, Match(framework, Program((), None), 0)
