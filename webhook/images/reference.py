"""Image names: the registry of an image, and its name there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from webhook.core.recognize.image_names import DOCKER_HUB, split_image_name
from webhook.images.errors import InvalidReference, printable

_MAX_LENGTH = 1024
# https://github.com/distribution/reference/blob/v0.6.0/regexp.go
_COMPONENT = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*")
_MAX_REPOSITORY_LENGTH = 255
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}(?:[:@].*)?", re.DOTALL)
# Docker Hub's API has another host name than its images.
_HUB_HOST = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed image name; `registry` is the registry in image names, `host` that of its API."""

    registry: str
    host: str
    repository: str
    tag: str = "latest"
    digest: str = ""

    @property
    def name(self) -> str:
        """The full name without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def tag_or_digest(self) -> str:
        """The reference to request: a digest has priority over a tag, as in the kubelet."""
        return self.digest or self.tag


def is_digest(text: str) -> bool:
    """Tell whether this is a digest that can be verified."""
    return _DIGEST.fullmatch(text) is not None


def parse_reference(image: str) -> Reference:
    """Parse an image name in a pod.

    Raises:
        InvalidReference: the kubelet would reject it, too, or its digest cannot be verified.

    """
    if not image:
        raise InvalidReference("the container has no image")
    if len(image) > _MAX_LENGTH:
        raise InvalidReference(f"{printable(image)} is too long")
    registry, repository, tag, digest = split_image_name(image)
    if _IDENTIFIER.fullmatch(image):
        raise InvalidReference(f"{printable(image)} is an image ID, which registries do not know")
    if not _HOST.fullmatch(registry) or not _is_port(registry.rpartition("]")[2].partition(":")[2]):
        raise InvalidReference(f"{printable(registry)} is not a valid registry host")
    if not _REPOSITORY.fullmatch(repository) or len(repository) > _MAX_REPOSITORY_LENGTH:
        hint = "; its path must be lower case" if repository != repository.lower() else ""
        raise InvalidReference(f"{printable(image)} is not an image name{hint}")
    if tag and not _TAG.fullmatch(tag):
        raise InvalidReference(f"the tag of {printable(image)} is invalid")
    if "@" in image and not is_digest(digest):
        raise InvalidReference(f"the digest of {printable(image)} is neither sha256 nor sha512")
    return Reference(registry, _HUB_HOST if registry == DOCKER_HUB else registry, repository, tag or "latest", digest)


def _is_port(text: str) -> bool:
    return not text or (len(text) <= 5 and 0 < int(text) < 65536)
