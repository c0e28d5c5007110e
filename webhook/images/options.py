"""What an operator can set of the questions to registries, and its defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and a processor, by the names that Go and images use."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        """Write it as linux/arm64 or linux/arm/v7."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True, slots=True)
class LookupOptions:
    """Whom to ask, how, and how long an answer holds.

    Hosts are patterns of `host[:port]`, the port where it is unusual. `hosts` are all that may be asked: registries,
    the servers of tokens that they name, and those to which they redirect; where there are none, any. Only those in
    `plain_http` are asked without TLS, and only those in `local_hosts` may be at addresses of this machine or its link.
    """

    hosts: tuple[str, ...] = ()
    plain_http: tuple[str, ...] = ()
    local_hosts: tuple[str, ...] = ()
    ca_file: Path | None = None
    """Trusted beside the system's CAs, PEM."""
    platform: Platform = Platform("linux", "amd64")
    """Counts where the pod says nothing."""
    credentials_file: Path | None = None
    """The operator's own credentials, for all pods, as `docker login` writes them."""
    tag_seconds: float = 300.0
    failure_seconds: float = 10.0
    stale_seconds: float = 6 * 3600.0
    """How long it is believed what a registry has said of a tag, while it cannot be asked: above all as long as Docker
    Hub counts pulls before it answers again. https://docs.docker.com/docker-hub/usage/pulls/
    """
