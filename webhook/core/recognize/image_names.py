"""Parses image names as container runtimes do: registry, repository, tag and digest, without validation."""

from __future__ import annotations

from typing import NamedTuple

DOCKER_HUB = "docker.io"
# Docker Hub has several host names. https://github.com/distribution/reference/blob/v0.6.0/normalize.go
_HUB_NAMES = (DOCKER_HUB, "index.docker.io")


class ImageName(NamedTuple):
    """The parts of an image name; tag and digest are empty if they are missing."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """The full name without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def ends(self) -> tuple[str, str]:
        """The last two parts of the repository, and the last one: what tables know of an image, in any registry."""
        rest, _, last = self.repository.rpartition("/")
        return f"{rest.rpartition('/')[2]}/{last}", last


def split_image_name(image: str) -> ImageName:
    """Parse an image name; missing parts get the runtimes' defaults."""
    name, _, digest = image.partition("@")
    # A colon before the last slash is part of a port.
    head, _, tag = name.rpartition(":")
    if not head or not tag or "/" in tag:
        head, tag = name, ""
    first, slash, rest = head.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    registry, repository = (first.lower(), rest) if is_host else (DOCKER_HUB, head)
    if registry in _HUB_NAMES:
        return ImageName(DOCKER_HUB, repository if "/" in repository else f"library/{repository}", tag, digest)
    return ImageName(registry, repository, tag, digest)
