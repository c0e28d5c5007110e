"""Validity periods of certificates, and delays."""

from __future__ import annotations

import datetime

import msgspec


class RotationSettings(msgspec.Struct, frozen=True):
    """The validity of CAs and certificates, and the time that changes need to take effect."""

    ca_validity: datetime.timedelta = datetime.timedelta(days=365)
    leaf_validity: datetime.timedelta = datetime.timedelta(hours=24)
    propagation: float = 5.0
    """Seconds until every API server uses a changed bundle."""

    skew: datetime.timedelta = datetime.timedelta(minutes=5)
    """The clock difference up to which clocks agree."""

    @property
    def retirement(self) -> float:
        """Seconds until all certificates of a CA that no longer signs have expired."""
        return self.leaf_validity.total_seconds() + self.propagation

    @property
    def removal(self) -> float:
        """Seconds after an observation in which a CA may be removed from the bundles; signers wait longer."""
        return max(self.propagation / 2, 0.5)
