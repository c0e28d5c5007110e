"""The operator's settings, which apply to all pods."""

from __future__ import annotations

from enum import Enum

import msgspec

DEFAULT_SHELL_IMAGE = (
    "docker.io/library/busybox:1.37.0-musl@sha256:5cec3fc171c87218698e85a52af7087de727372aae264a787b8112901a5b0092"
)
"""Contains a static busybox at /bin/busybox for all platforms; musl, because it is the smallest."""
DEFAULT_SHELL_CPU = "50m"
DEFAULT_SHELL_MEMORY = "16Mi"
"""Less than workers request: a pod's request is the maximum of its largest init container and the sum of the others."""


class ShellSource(Enum):
    """How the shell is injected."""

    INIT_CONTAINER = "init-container"
    IMAGE_VOLUME = "image-volume"


class RegistryTrouble(Enum):
    """What to do with workers whose images cannot be looked up."""

    ADMIT = "admit"
    REFUSE = "refuse"


class Policy(msgspec.Struct, frozen=True):
    """The operator's settings; `grace_period` is the minimum, in seconds."""

    grace_period: int = 3600
    only_labelled: bool = False
    shell_image: str = DEFAULT_SHELL_IMAGE
    shell_source: ShellSource = ShellSource.INIT_CONTAINER
    shell_cpu: str = DEFAULT_SHELL_CPU
    shell_memory: str = DEFAULT_SHELL_MEMORY
    registry_trouble: RegistryTrouble = RegistryTrouble.ADMIT
