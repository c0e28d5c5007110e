"""What is known of a worker container, and of what it runs, before anything is decided about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from webhook.core.annotations import DEFAULT_SHELL, PASSED_SIGNALS, Settings
from webhook.core.command_line import CommandLine
from webhook.core.frameworks import FRAMEWORKS, Found, Framework, Match, Runtime, find_framework, runtime_of
from webhook.core.images import NO_IMAGES, Image, Images, Unavailable, image_argv, image_signal
from webhook.core.parents import Surroundings, is_looped
from webhook.core.pod import Container
from webhook.core.roles import Worker
from webhook.core.shell_less import shell_less_because
from webhook.core.status import WorkerStatus
from webhook.core.wrapping import is_wrapped, own_words

DEFAULT_SIGNAL = "TERM"


class Circumstances(msgspec.Struct, frozen=True):
    """What bears on the workers of a pod.

    Its restart policy; its grace period, in seconds, as it was and once raised, if it may be; the shell; what is known
    of the images; what an earlier injection has recorded; and what else decides whether a parent may stand before a
    command.
    """

    restart_policy: str
    grace: int
    old_grace: int
    surroundings: Surroundings
    keeps_grace: bool = False
    shell: str = DEFAULT_SHELL
    images: Images = NO_IMAGES
    recorded: Mapping[str, WorkerStatus] = {}


class WorkerCase(msgspec.Struct, frozen=True):
    """A worker container with all that was found out about it, before anything is decided."""

    container: Container
    settings: Settings
    circumstances: Circumstances
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
    shell_less: str
    stands_in_args: bool
    """Whether another webhook has put its own command in front of ours, and ours among the arguments."""

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
    def recorded(self) -> WorkerStatus:
        """What an earlier injection has recorded of it."""
        return self.circumstances.recorded.get(self.container.name, WorkerStatus(""))

    @property
    def can_hook(self) -> bool:
        """Whether a hook of ours can run."""
        return not self.shell_less and not self.container.unchainable_hook


def examine(worker: Worker, settings: Settings, circumstances: Circumstances) -> WorkerCase:
    """Find out about a worker container."""
    container = worker.container
    image = circumstances.images.get(container.name)
    argv, is_whole = _argv(container, settings, image)
    # The same argv as when the worker was found, unless the annotation says what stands before `args`.
    found = worker.found if worker.found and (container.command or image) else find_framework(argv)
    line, match = _as_recorded(found, container, circumstances) if not is_whole else found
    declared = ((container.lifecycle and container.lifecycle.stop_signal) or "").removeprefix("SIG")
    shell_less = ""
    if circumstances.shell == DEFAULT_SHELL:
        shell_less = image.shell_less if isinstance(image, Image) else ""
        shell_less = shell_less or shell_less_because(container.image or "", container.name)
    return WorkerCase(
        container=container,
        settings=settings,
        circumstances=circumstances,
        argv=argv,
        is_whole=is_whole,
        is_writable=bool(container.command or settings.command) and is_whole,
        line=line,
        match=match,
        runtime=runtime_of(line),
        kubelet_signal=declared or _image_signal(container, image, circumstances) or DEFAULT_SIGNAL,
        runs_to_completion=(container.restart_policy or circumstances.restart_policy) != "Always",
        shell_less=shell_less,
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


def _as_recorded(found: Found, container: Container, circumstances: Circumstances) -> Found:
    """Return the framework that an image was known to run when the pod was injected into before."""
    recorded = circumstances.recorded.get(container.name)
    framework = FRAMEWORKS.get(recorded.framework) if recorded else None
    if framework is None or found[1] is not None:
        return found
    line, _ = found
    return line, Match.of_record(framework)


def _image_signal(container: Container, image: Image | Unavailable | None, circumstances: Circumstances) -> str:
    """Return the signal by which the container's image is stopped; empty where that is not known."""
    if isinstance(image, Image):
        return image_signal(image)
    recorded = circumstances.recorded.get(container.name)
    return recorded.image_signal if recorded and recorded.image_signal in PASSED_SIGNALS else ""
