"""The state of a cluster as plain data, without a verdict."""

from __future__ import annotations

from enum import Enum

import msgspec

from webhook.core.ownership import Owner
from webhook.core.pod import JsonObject
from webhook.core.reasons import Finding
from webhook.history.records import History
from webhook.inspection.drain_limit_parsing import EffectiveLimit, UnreadableLimit
from webhook.kubernetes.api_client import NotPermitted

EVICTIONS = frozenset({"pods/eviction"})
"""The resource of the eviction API in a webhook rule."""


class Names(msgspec.Struct, frozen=True):
    """The names of the installation."""

    namespace: str = "graceful-worker"
    configuration: str = "graceful-worker"
    context: str = ""
    """The user's name for the cluster."""


class Namespace(msgspec.Struct, frozen=True):
    """A namespace and its labels."""

    name: str
    labels: dict[str, str]


class State(Enum):
    """The state of a pod that is, or might be, a worker."""

    PROTECTED = "protected"
    UNRECORDED = "unrecorded"
    """It has the label of injected pods, but no status annotation."""
    UNPROTECTED = "unprotected"
    """It is unprotected, and would be protected if it were created again."""
    REFUSED = "refused"
    """It is unprotected, and would be refused if it were created again."""
    LEFT_ALONE = "left-alone"
    MISLABELLED = "mislabelled"
    """Its label's value is not valid, so it is not sent to the webhook."""


class WorkerPod(msgspec.Struct, frozen=True):
    """The relevant parts of a pod."""

    namespace: str
    name: str
    owner: Owner
    state: State
    verdict: Finding | None = None
    """Why it is left alone or would be refused."""
    workers: dict[str, str] = {}
    """The mode of each worker container."""
    version: str = ""
    """The version that protected it; empty if that is unknown."""
    ending: bool = False
    grace: int = 0
    """Its grace period, in seconds."""
    node: str = ""
    priority: int = 0
    exempt: tuple[str, ...] = ()
    """The limits of drains that leave it alone."""
    as_asked: bool = False
    """Whether evictions may shorten its grace period."""


class Kubelets(msgspec.Struct, frozen=True):
    """How many kubelets were queried, for how many kinds of nodes, and which did not respond."""

    queried: int
    kinds: int
    unreachable: list[str]


class DrainLimits(msgspec.Struct, frozen=True):
    """The limits of drains in this cluster."""

    effective_limits: list[EffectiveLimit]
    unreadable: list[UnreadableLimit]
    missing: list[str]
    """The missing permissions."""
    kubelets: Kubelets | None
    """None if they were not wanted."""


class HistoryUnavailable(msgspec.Struct, frozen=True):
    """How drains ended cannot be read."""

    reason: str


class Snapshot(msgspec.Struct, frozen=True):
    """The state of a cluster; None means that an object does not exist."""

    names: Names
    configuration: JsonObject | NotPermitted | None
    deployment: JsonObject | NotPermitted | None
    replicas: list[JsonObject] | NotPermitted
    """The webhook's own pods."""
    endpoint_slices: list[JsonObject] | NotPermitted
    namespaces: list[Namespace] | NotPermitted
    pods: list[WorkerPod] | NotPermitted
    limits: DrainLimits | None = None
    """None if there is no protected pod."""
    history: History | HistoryUnavailable | None = None
    """What the watch has counted; None if there is no protected pod, or it is not wanted."""

    @property
    def entries(self) -> list[JsonObject]:
        """The entries of the configuration; empty if it could not be read."""
        return (self.configuration.get("webhooks") or []) if isinstance(self.configuration, dict) else []

    @property
    def pod_entries(self) -> list[JsonObject]:
        """The entries that send pods to the webhook."""
        return [entry for entry in self.entries if not is_guard(entry)]

    @property
    def guards(self) -> list[JsonObject]:
        """The entries of the eviction guard."""
        return [entry for entry in self.entries if is_guard(entry)]


def is_guard(entry: JsonObject) -> bool:
    """Tell whether an entry is for evictions, not for pods."""
    resources = {resource for rule in entry.get("rules") or () for resource in rule.get("resources") or ()}
    return resources == EVICTIONS
