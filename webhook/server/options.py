"""What an operator can set of the server, and its defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from certs.terms import Terms
from webhook.images.sources import ImageSettings

DRAIN_SECONDS = 5.0
"""How long the server goes on serving after SIGTERM."""
EVICTION_LIMIT = 24 * 3600
"""Seconds of a grace period that evictions are given at most: whoever writes pods is not to hold a node for ever."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may cost: bytes of its body, and seconds until that has arrived; and what all of them may.

    The API server takes at most 3 MiB for an object, and sends it in an envelope that adds a little; but Go writes `&`,
    `<` and `>` as six characters. https://pkg.go.dev/encoding/json#Marshal

    Measured: with all connections, each of which has sent 60 KB of a body, and four of the largest bodies, the process
    had 252 MiB at most. The manifest's limit is above that.
    """

    body_bytes: int = 19 * 1024 * 1024
    body_seconds: float = 10.0
    connections: int = 600
    held_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Files:
    """A certificate chain and its key in files, PEM, and the CAs that sign the API servers' own certificates."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    client_names: tuple[str, ...] = ()
    """Common names of API servers; none: every certificate of these CAs is one's."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where in the cluster the webhook keeps a CA of its own, who is called by it, and how long things last."""

    namespace: str
    service: str = "graceful-worker"
    secret: str = "graceful-worker-ca"  # noqa: S105 - a name
    configuration: str = "graceful-worker"
    domain: str = "cluster.local"
    extra_hosts: tuple[str, ...] = ()
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to serve; times are in seconds.

    `idle_seconds` is above the 90 s after which Go's HTTP client, and so the API server, drops an idle connection:
    were it the server that closes first, a request might be on its way already. `head_seconds` begin with a head's
    first byte; they also limit the handshake before that, and the goodbye after the last answer.
    """

    host: str
    port: int
    tls: Files | Cluster
    limits: Limits = field(default_factory=Limits)
    head_seconds: float = 5.0
    idle_seconds: int = 120
    drain_seconds: float = DRAIN_SECONDS
    finish_seconds: int = 30
    log_level: str = "info"
    images: ImageSettings = field(default_factory=ImageSettings)
    eviction_limit: int = EVICTION_LIMIT
    guard_off_because: str = ""
    """Why evictions are not guarded; empty: they are."""
