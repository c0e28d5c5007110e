"""Names of images, taken apart as container runtimes do: registry, repository, tag and digest; nothing is checked."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeVar

DOCKER_HUB = "docker.io"
# Docker Hub has several names.
# https://github.com/distribution/reference/blob/v0.6.0/normalize.go
_HUB_NAMES = (DOCKER_HUB, "index.docker.io")
_REMEMBERED = 1024
_LONGEST_REMEMBERED = 300
"""Characters of an image's name: real ones are shorter."""
Said = TypeVar("Said")


class ImageName(NamedTuple):
    """An image's name, in its parts; tag and digest are empty where there is none."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """The full name, without a version."""
        return f"{self.registry}/{self.repository}"


def split_image_name(image: str) -> ImageName:
    """Take an image's name apart; what is left out is what runtimes put there."""
    name, _, digest = image.partition("@")
    # A colon before the last slash belongs to a port.
    head, _, tag = name.rpartition(":")
    if not head or not tag or "/" in tag:
        head, tag = name, ""
    first, slash, rest = head.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    registry, repository = (first.lower(), rest) if is_host else (DOCKER_HUB, head)
    if registry in _HUB_NAMES:
        return ImageName(DOCKER_HUB, repository if "/" in repository else f"library/{repository}", tag, digest)
    return ImageName(registry, repository, tag, digest)


def remembered(function: Callable[[str, str], Said]) -> Callable[[str, str], Said]:
    """Remember what is said of an image and a container by their names: a cluster has few, and each in many pods."""
    remember = lru_cache(_REMEMBERED)(function)

    def ask(image: str, container: str) -> Said:
        return remember(image, container) if len(image) < _LONGEST_REMEMBERED else function(image, container)

    ask.__doc__ = function.__doc__
    return ask
