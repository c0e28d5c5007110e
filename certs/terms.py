"""How long certificates last, and what takes its time."""

from __future__ import annotations

import datetime
from dataclasses import dataclass


@dataclass(frozen=True)
class Terms:
    """How long a CA and a leaf are valid, and when a change has come through."""

    ca_validity: datetime.timedelta = datetime.timedelta(days=365)
    leaf_validity: datetime.timedelta = datetime.timedelta(hours=24)
    propagation: float = 5.0
    """Seconds until every API server has learned of a changed bundle."""

    skew: datetime.timedelta = datetime.timedelta(minutes=5)
    """By how much clocks may differ and still agree."""

    @property
    def retirement(self) -> float:
        """Seconds until no leaf of a CA that signs no more can be left."""
        return self.leaf_validity.total_seconds() + self.propagation

    @property
    def removal(self) -> float:
        """Seconds in which a CA is taken out of the bundles, from the look on: whoever signs waits for longer."""
        return max(self.propagation / 2, 0.5)
