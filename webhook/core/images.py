"""What is known of images: the command line that a container runs where its manifest gives none, and what ends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from webhook.core.reasons import Reason
from webhook.core.scripts import keep_from_expansion


class Image(msgspec.Struct, frozen=True, tag=True):
    """What an image says of the process that a container of it runs."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    stop_signal: str = ""
    """What the kubelet sends in place of TERM, as the image has it (`SIGQUIT`, `QUIT`, `3`); empty: nothing is said."""
    shell_less: str = ""
    """Why there can be no shell in it, as half a sentence ("its base is …"); empty where that is not known."""
    serves: bool = False
    """Whether it says that it listens at a port."""
    source: str = ""
    """Where this was learned, for a reader: the registry and the digest, or the operator's table."""
    stale: str = ""
    """Why it is only what was learned before, for a reader; empty where it is known to hold."""


class Unavailable(msgspec.Struct, frozen=True, tag=True):
    """Why nothing could be learned of an image: the reason, and the particulars with what to do."""

    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        """Say it in one line, by the reason's code."""
        return f"{self.reason.value}{self.detail and f': {self.detail}'}"


# They say nothing of the image, and mostly pass by themselves.
TROUBLES = frozenset({Reason.REGISTRY_FAILED, Reason.REGISTRY_TOO_SLOW, Reason.REGISTRY_QUEUE})

Images: TypeAlias = Mapping[str, Image | Unavailable]
"""What has been learned of a pod's images, by the names of its containers."""

NO_IMAGES: Images = {}

# The numbers that an image may give in place of names are those of Linux, whatever this runs on.
_SIGNALS = {"1": "HUP", "2": "INT", "3": "QUIT", "10": "USR1", "12": "USR2", "15": "TERM", "28": "WINCH"}


def image_argv(image: Image, args: Sequence[str]) -> list[str]:
    """Return what a container without a command runs, as a manifest would have to say it; empty where nothing is said.

    By the kubelet's rule: the image's entrypoint, with `args` where these are given, else with the image's own. The
    kubelet expands variables in what a manifest says, never in what an image says.
    https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/#notes
    """
    # An empty word alone stands for none.
    # https://github.com/containerd/containerd/blob/main/internal/cri/opts/spec_opts.go (WithProcessArgs)
    entrypoint = () if image.entrypoint == ("",) else image.entrypoint
    argv = [*map(keep_from_expansion, entrypoint), *(args or map(keep_from_expansion, image.cmd))]
    return argv if argv and argv[0] else []


def image_signal(image: Image) -> str:
    """Return the signal by which an image is stopped, by its name without SIG; empty where it says nothing."""
    text = image.stop_signal.upper()
    return _SIGNALS.get(text, text.removeprefix("SIG"))
