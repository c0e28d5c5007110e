"""What ends drains early, as data; the table is drain_limits.toml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from webhook.core.tables import load_table

ANY = "*"


class Flag(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="flag"):
    """By a flag of a Deployment."""

    selectors: tuple[str, ...]
    flag: str
    default: int
    by_priority: str


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="field"):
    """By a field of objects that a node label refers to."""

    group: str
    resource: str
    kind: str
    path: tuple[str, ...]
    node_label: str


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="policy"):
    """By a field of a configuration in a ConfigMap."""

    namespace: str
    selector: str
    name: str
    key: str
    field: str


class Marker(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="marker"):
    """By the existence of a ConfigMap whose writer is not visible."""

    namespace: str
    name: str
    unless: str
    seconds: int


class Kubelet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="kubelet"):
    """By the kubelet's configuration."""


class Nodes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="nodes"):
    """By labels of a provider's nodes."""

    labels: tuple[dict[str, str], ...]
    seconds: int

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a node is one of them."""
        return any(
            all(labels.get(key) == value or (value == ANY and key in labels) for key, value in group.items())
            for group in self.labels
        )


Detection: TypeAlias = Flag | Field | Policy | Marker | Kubelet | Nodes


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit of drains: how it is detected, what it does, and what to do about it."""

    id: str
    title: str
    says: str
    advice: str
    source: str
    detection: Detection
    guarded: bool = False
    """It is an eviction, so the webhook keeps the grace period."""
    exempt: dict[str, str] = {}
    """Annotations of pods that it leaves alone."""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What drain_limits.toml says."""

    pools: tuple[str, ...]
    """Labels that group similar nodes."""
    limit: tuple[Limit, ...]

    def exempts(self, annotations: Mapping[str, str]) -> tuple[str, ...]:
        """Return the limits that leave a pod alone."""
        return tuple(
            limit.id
            for limit in self.limit
            if any(annotations.get(key) == value for key, value in limit.exempt.items())
        )


TABLE = load_table(__name__, "drain_limits.toml", Table)
LIMITS = {limit.id: limit for limit in TABLE.limit}
NODE_LABELS = frozenset(TABLE.pools).union(
    (limit.detection.node_label for limit in TABLE.limit if isinstance(limit.detection, Field)),
    *(group for limit in TABLE.limit if isinstance(limit.detection, Nodes) for group in limit.detection.labels),
)
"""The labels of nodes that are needed."""
