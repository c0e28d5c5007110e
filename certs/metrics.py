"""The state of the certificates, for the metrics and the liveness probe."""

from __future__ import annotations

import datetime

import msgspec


class CertificateMetrics(msgspec.Struct):
    """Counters since the start, and expiry times of the certificates in use."""

    rotations: int = 0
    """CA rotations."""
    healings: int = 0
    """Bundles that another client had changed and that were restored."""
    failures: int = 0
    """Failed observations or steps."""
    is_managed: bool = True
    """Whether certificates are still managed."""
    clock_skew: float | None = None
    """Seconds by which the local clock is ahead of the API server's; None if the API server's is unknown."""
    leaf_expiry: datetime.datetime | None = None
    ca_expiry: datetime.datetime | None = None
