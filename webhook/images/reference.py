"""The names of images: which registry an image is in, and under what name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from webhook.images.failure import shown

DOCKER_HUB = "docker.io"
_LONGEST = 1024
# https://github.com/distribution/reference/blob/v0.6.0/regexp.go
_COMPONENT = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*")
_LONGEST_REPOSITORY = 255
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
# Docker Hub is asked under another name than images bear.
# https://github.com/distribution/reference/blob/v0.6.0/normalize.go
_HUB_NAMES = (DOCKER_HUB, "index.docker.io")
_HUB_HOST = "registry-1.docker.io"


class InvalidReference(ValueError):
    """It is no image's name; the message says why."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's name, read; `registry` is how images name their registry, `host` how it is asked."""

    registry: str
    host: str
    repository: str
    tag: str = "latest"
    digest: str = ""

    @property
    def name(self) -> str:
        """The full name, without a version."""
        return f"{self.registry}/{self.repository}"

    @property
    def version(self) -> str:
        """What to ask for: where there is a digest, it wins over a tag, as in the kubelet."""
        return self.digest or self.tag


def is_digest(text: str) -> bool:
    """Tell whether this is a digest that can be verified."""
    return _DIGEST.fullmatch(text) is not None


def read_reference(image: str) -> Reference:
    """Read an image's name as pods have it.

    Raises:
        InvalidReference: the kubelet would not take it either, or its digest cannot be verified.

    """
    if not image:
        raise InvalidReference("the container has no image")
    if len(image) > _LONGEST:
        raise InvalidReference(f"{shown(image)} is too long")
    name, at, digest = image.partition("@")
    name, tag = _split_tag(name)
    registry, repository = _split_registry(name, image)
    if not _REPOSITORY.fullmatch(repository) or len(repository) > _LONGEST_REPOSITORY:
        hint = "; its path must be in lower case" if repository != repository.lower() else ""
        raise InvalidReference(f"{shown(image)} is no image name{hint}")
    if not _TAG.fullmatch(tag):
        raise InvalidReference(f"the tag of {shown(image)} is invalid")
    if at and not is_digest(digest):
        raise InvalidReference(f"the digest of {shown(image)} is none of sha256 or sha512")
    return Reference(registry, _HUB_HOST if registry == DOCKER_HUB else registry, repository, tag, digest)


def _split_tag(name: str) -> tuple[str, str]:
    # A colon before the last slash belongs to a port.
    head, colon, tag = name.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (name, "latest")


def _split_registry(name: str, image: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    if not is_host:
        if _IDENTIFIER.fullmatch(name):
            raise InvalidReference(f"{shown(image)} is an image's id, which no registry knows")
        first, rest = DOCKER_HUB, name
    if not _HOST.fullmatch(first) or not _is_port(first.rpartition("]")[2].partition(":")[2]):
        raise InvalidReference(f"{shown(first)} is no registry's host")
    registry = first.lower()
    if registry not in _HUB_NAMES:
        return registry, rest
    return DOCKER_HUB, rest if "/" in rest else f"library/{rest}"


def _is_port(text: str) -> bool:
    return not text or (len(text) <= 5 and 0 < int(text) < 65536)
