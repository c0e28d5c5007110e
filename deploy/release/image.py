"""The image of a release: where it is published, and the digest that is published there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploy.release.versions import Unfit

_REPOSITORY = re.compile(r"[a-z0-9.-]+(?::\d+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Image:
    """A repository in a registry, and a digest in it."""

    repository: str
    digest: str

    def __post_init__(self) -> None:
        """Refuse what no registry would serve: https://github.com/opencontainers/distribution-spec."""
        if not _REPOSITORY.fullmatch(self.repository):
            raise Unfit(
                f"{self.repository!r} is not a repository of a registry; write ghcr.io/owner/name, in lower case"
            )
        if not _DIGEST.fullmatch(self.digest):
            raise Unfit(f"{self.digest!r} is not a digest; write sha256: and 64 hexadecimal digits")

    def __str__(self) -> str:
        """Return what a manifest writes."""
        return f"{self.repository}@{self.digest}"
