"""The options of image lookups and their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and architecture, by the names of Go and OCI."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        """Format it as linux/arm64 or linux/arm/v7."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True, slots=True)
class LookupOptions:
    """Which registries to contact and how, and how long results are cached.

    Hosts are patterns of `host[:port]`; the port is only needed if it is not the default. `hosts` are all allowed
    hosts: registries, their token servers, and the targets of redirects; if empty, any. Only hosts in `plain_http` are
    contacted without TLS, and only those in `local_hosts` may have loopback or link-local addresses.
    """

    hosts: tuple[str, ...] = ()
    plain_http: tuple[str, ...] = ()
    local_hosts: tuple[str, ...] = ()
    ca_file: Path | None = None
    """Additional CAs to trust (PEM)."""
    platform: Platform = Platform("linux", "amd64")
    """Used if the pod selects no platform."""
    credentials_file: Path | None = None
    """The operator's own credentials for all pods, in the format that `docker login` writes."""
    tag_seconds: float = 300.0
    failure_seconds: float = 10.0
    stale_seconds: float = 6 * 3600.0
    """How long a stale tag is used while the registry cannot be reached: at least as long as Docker Hub's rate limit
    window. https://docs.docker.com/docker-hub/usage/pulls/
    """
