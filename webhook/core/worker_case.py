"""What is known of a worker container, and of what it runs, before anything is decided about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from webhook.core.annotations import DEFAULT_SHELL, PASSED_SIGNALS, Settings
from webhook.core.command_line import CommandLine
from webhook.core.frameworks import FRAMEWORKS, Found, Framework, Match, Runtime, find_framework, runtime_of
from webhook.core.images import Image, Images, Unavailable, image_argv, image_signal
from webhook.core.parents import Surroundings, is_looped
from webhook.core.pod import Container
from webhook.core.reasons import Reason
from webhook.core.roles import Worker
from webhook.core.status import WorkerStatus
from webhook.core.wrapping import is_wrapped, own_words

DEFAULT_SIGNAL = "TERM"


class Circumstances(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What bears on the workers of a pod.

    Its restart policy; its grace period, in seconds, as it was and once raised, if it may be; the shell; and what else
    decides whether a parent may stand before a command.
    """

    restart_policy: str
    grace: int
    old_grace: int
    surroundings: Surroundings
    keeps_grace: bool = False
    shell: str = DEFAULT_SHELL
    holds: bool = False
    """Whether sidecars are to learn when a worker's container ends."""


class WorkerFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that the plan of a worker hangs on."""

    container: Container
    """Without what says nothing of its processes."""
    reason: Reason
    """Why it is a worker."""
    settings: Settings
    circumstances: Circumstances
    shell_less: str = ""
    """Why its image has no shell for a hook; empty where it may have one."""
    image: Image | Unavailable | None = None
    recorded: WorkerStatus | None = None
    """What an earlier injection has recorded of it."""


class WorkerCase(msgspec.Struct, frozen=True, gc=False):
    """A worker container with all that was found out about it, before anything is decided."""

    facts: WorkerFacts
    argv: Sequence[str]
    """What it runs, as far as that is known."""
    is_whole: bool
    """Whether all of that is known: where only the image says what `args` are for, it is not."""
    is_writable: bool
    """Whether the manifest says it, so that something may be put before it."""
    line: CommandLine
    match: Match | None
    runtime: Runtime | None
    kubelet_signal: str
    runs_to_completion: bool
    stands_in_args: bool
    """Whether another webhook has put its own command in front of ours, and ours among the arguments."""

    @property
    def container(self) -> Container:
        """The container, without what says nothing of its processes."""
        return self.facts.container

    @property
    def settings(self) -> Settings:
        """What the pod asks for."""
        return self.facts.settings

    @property
    def circumstances(self) -> Circumstances:
        """What bears on all workers of the pod."""
        return self.facts.circumstances

    @property
    def framework(self) -> Framework | None:
        """The framework that it is known to run."""
        return self.match.framework if self.match else None

    @property
    def is_first(self) -> bool:
        """Whether process 1 is the worker, or hands its signals on to it alone."""
        if self.match:
            return self.match.program.is_first and not self.match.launched
        return not self.line.programs or self.line.programs[-1].is_first

    @property
    def loops(self) -> bool:
        """Whether a loop of the shell string starts the worker again and again."""
        return is_looped(self.line, self.match)

    @property
    def hook(self) -> Sequence[str]:
        """The exec command of the pod's own preStop hook."""
        return own_words(self.container.hook_command)

    @property
    def shell_less(self) -> str:
        """Why its image has no shell for a hook; empty where it may have one."""
        return self.facts.shell_less

    @property
    def is_recorded(self) -> bool:
        """Whether all that is known of what it runs is the record of an earlier injection."""
        return self.facts.recorded is not None and not self.is_whole

    @property
    def can_hook(self) -> bool:
        """Whether a hook of ours can run."""
        return not self.shell_less and not self.container.unchainable_hook


def facts_of(
    worker: Worker,
    settings: Settings,
    circumstances: Circumstances,
    images: Images,
    recorded: Mapping[str, WorkerStatus],
) -> WorkerFacts:
    """Collect what the plan of a worker hangs on."""
    container = worker.container
    image = images.get(container.name)
    shell_less = ""
    if circumstances.shell == DEFAULT_SHELL:
        shell_less = image.shell_less if isinstance(image, Image) else ""
        shell_less = shell_less or container.hints.shell_less
    record = recorded.get(container.name)
    return WorkerFacts(container.of_processes(), worker.reason, settings, circumstances, shell_less, image, record)


def examine(facts: WorkerFacts) -> WorkerCase:
    """Find out about a worker container."""
    container, settings, circumstances, image = facts.container, facts.settings, facts.circumstances, facts.image
    argv, is_whole = _argv(container, settings, image)
    found = find_framework(argv)
    line, match = found if is_whole else _as_recorded(found, facts.recorded)
    declared = ((container.lifecycle and container.lifecycle.stop_signal) or "").removeprefix("SIG")
    return WorkerCase(
        facts=facts,
        argv=argv,
        is_whole=is_whole,
        is_writable=bool(container.command or settings.command) and is_whole,
        line=line,
        match=match,
        runtime=runtime_of(line),
        kubelet_signal=declared or _image_signal(image, facts.recorded) or DEFAULT_SIGNAL,
        runs_to_completion=(container.restart_policy or circumstances.restart_policy) != "Always",
        stands_in_args=is_wrapped(container.args or ()),
    )


def _argv(container: Container, settings: Settings, image: Image | Unavailable | None) -> tuple[Sequence[str], bool]:
    """Return what the container runs, by the kubelet's rule, and whether all of it is known.

    That is `command`, else what the image says, then `args`.
    """
    if is_wrapped(container.argv):
        return own_words(container.argv), True
    command: Sequence[str] | None = container.command or settings.command
    if command:
        return [*command, *(container.args or ())], True
    if isinstance(image, Image):
        argv = image_argv(image, container.args or ())
        return argv, bool(argv)
    return list(container.args or ()), False


def _as_recorded(found: Found, recorded: WorkerStatus | None) -> Found:
    """Return the framework that an image was known to run when the pod was injected into before."""
    framework = FRAMEWORKS.get(recorded.framework) if recorded else None
    if framework is None or found[1] is not None:
        return found
    line, _ = found
    return line, Match.of_record(framework)


def _image_signal(image: Image | Unavailable | None, recorded: WorkerStatus | None) -> str:
    """Return the signal by which the container's image is stopped; empty where that is not known."""
    if isinstance(image, Image):
        return image_signal(image)
    return recorded.image_signal if recorded and recorded.image_signal in PASSED_SIGNALS else ""
