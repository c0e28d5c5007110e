"""Facts about images: the command line of a container without a command, and its stop signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from webhook.core.reasons import Reason
from webhook.core.scripts import keep_from_expansion


class Image(msgspec.Struct, frozen=True, tag=True):
    """What an image specifies about a container's process."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    stop_signal: str = ""
    """The image's STOPSIGNAL (`SIGQUIT`, `QUIT`, `3`); empty if it has none."""
    shell_less: str = ""
    """Why it cannot contain a shell, as half a sentence ("its base image is …"); empty if that is not known."""
    serves: bool = False
    """Whether it exposes a port."""
    source: str = ""
    """The source of this information, for users: the registry and the digest, or the operator's table."""
    stale: str = ""
    """Why this information may be outdated, for users; empty if it is current."""


class Unavailable(msgspec.Struct, frozen=True, tag=True):
    """Why an image could not be looked up: the reason, and the details with advice."""

    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        """Format it as one line, with the reason's code."""
        return f"{self.reason.value}{self.detail and f': {self.detail}'}"


# Failures that say nothing about the image and are mostly temporary.
TROUBLES = frozenset({Reason.REGISTRY_FAILED, Reason.REGISTRY_TOO_SLOW, Reason.REGISTRY_QUEUE})

Images: TypeAlias = Mapping[str, Image | Unavailable]
"""The known images of a pod, by container name."""

NO_IMAGES: Images = {}

# Images may give the stop signal as a number; these are Linux signal numbers, whatever system this runs on.
_SIGNALS = {"1": "HUP", "2": "INT", "3": "QUIT", "10": "USR1", "12": "USR2", "15": "TERM", "28": "WINCH"}


def image_argv(image: Image, args: Sequence[str]) -> list[str]:
    """Return the command line of a container without a command, in manifest notation; empty if the image has none.

    By the kubelet's rule: the image's entrypoint, followed by `args` if given, else by the image's cmd. The kubelet
    expands variables in manifests, but not in images.
    https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/#notes
    """
    # A single empty word means none. https://github.com/containerd/containerd/blob/main/internal/cri/opts/spec_opts.go
    # (WithProcessArgs)
    entrypoint = () if image.entrypoint == ("",) else image.entrypoint
    argv = [*map(keep_from_expansion, entrypoint), *(args or map(keep_from_expansion, image.cmd))]
    return argv if argv and argv[0] else []


def image_signal(image: Image) -> str:
    """Return the name of the image's stop signal without SIG; empty if it has none."""
    text = image.stop_signal.upper()
    return _SIGNALS.get(text, text.removeprefix("SIG"))
