"""The names of images: which registry an image is in, and under what name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from webhook.core.image_names import DOCKER_HUB, split_image_name
from webhook.images.failure import shown

_LONGEST = 1024
# https://github.com/distribution/reference/blob/v0.6.0/regexp.go
_COMPONENT = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*")
_LONGEST_REPOSITORY = 255
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}(?:[:@].*)?", re.DOTALL)
# Docker Hub is asked under another name than images bear.
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
    registry, repository, tag, digest = split_image_name(image)
    if _IDENTIFIER.fullmatch(image):
        raise InvalidReference(f"{shown(image)} is an image's id, which no registry knows")
    if not _HOST.fullmatch(registry) or not _is_port(registry.rpartition("]")[2].partition(":")[2]):
        raise InvalidReference(f"{shown(registry)} is no registry's host")
    if not _REPOSITORY.fullmatch(repository) or len(repository) > _LONGEST_REPOSITORY:
        hint = "; its path must be in lower case" if repository != repository.lower() else ""
        raise InvalidReference(f"{shown(image)} is no image name{hint}")
    if tag and not _TAG.fullmatch(tag):
        raise InvalidReference(f"the tag of {shown(image)} is invalid")
    if "@" in image and not is_digest(digest):
        raise InvalidReference(f"the digest of {shown(image)} is none of sha256 or sha512")
    return Reference(registry, _HUB_HOST if registry == DOCKER_HUB else registry, repository, tag or "latest", digest)


def _is_port(text: str) -> bool:
    return not text or (len(text) <= 5 and 0 < int(text) < 65536)
