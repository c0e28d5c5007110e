"""The server's options and their defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from certs.rotation_settings import RotationSettings
from webhook.images.sources import ImageSettings

DRAIN_SECONDS = 5.0
"""How long the server keeps serving after SIGTERM."""
MAX_EVICTION_SECONDS = 24 * 3600
"""Longest grace period that evictions keep, in seconds: the author of a pod must not block a node forever."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for requests: body size, time until it arrives, and totals.

    The API server accepts objects of at most 3 MiB and adds a small envelope. But Go encodes `&`, `<` and `>` with six
    characters. https://pkg.go.dev/encoding/json#Marshal

    Measured: with all connections open, each with 60 KB of a body, and four bodies of maximum size, the process used at
    most 252 MiB. The memory limit in the manifest is above that.
    """

    body_bytes: int = 19 * 1024 * 1024
    body_seconds: float = 10.0
    connections: int = 600
    held_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Files:
    """A certificate chain and its key in files (PEM), and the client CAs of the API servers."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    client_names: tuple[str, ...] = ()
    """Common names of API servers; if empty, every certificate of these CAs is accepted."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the webhook stores its CA in the cluster, which Service calls it, and validity periods."""

    namespace: str
    service: str = "graceful-worker"
    secret: str = "graceful-worker-ca"  # noqa: S105 - a name
    configuration: str = "graceful-worker"
    domain: str = "cluster.local"
    extra_hosts: tuple[str, ...] = ()
    settings: RotationSettings = field(default_factory=RotationSettings)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The server's options; times are in seconds.

    `idle_seconds` exceeds the 90 s after which Go's HTTP client, and thus the API server, closes an idle connection: if
    the server closed first, a request might already be on its way. `head_seconds` start with the first byte of the
    headers; they also limit the TLS handshake and shutdown.
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
    eviction_limit: int = MAX_EVICTION_SECONDS
    guard_off_reason: str = ""
    """Why evictions are not guarded; empty if they are."""
