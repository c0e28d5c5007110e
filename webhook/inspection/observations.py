"""What was seen in a cluster: plain data, which says nothing yet of what it means."""

from __future__ import annotations

from enum import Enum

import msgspec

from webhook.core.pod import JsonObject
from webhook.core.reasons import Finding
from webhook.history.evidence import History
from webhook.inspection.drain_readings import Bound, Unreadable

EVICTIONS = frozenset({"pods/eviction"})
"""The resource of the eviction API, as a rule of an entry names it."""


class Names(msgspec.Struct, frozen=True):
    """Where the installation is."""

    namespace: str = "graceful-worker"
    configuration: str = "graceful-worker"
    context: str = ""
    """What the user calls the cluster."""


class Unseen(msgspec.Struct, frozen=True):
    """What could not be seen, for want of a right."""

    right: str


class Namespace(msgspec.Struct, frozen=True):
    """A namespace and its labels."""

    name: str
    labels: dict[str, str]


class State(Enum):
    """How a pod stands that is a worker, or might be one."""

    PROTECTED = "protected"
    UNRECORDED = "unrecorded"
    """It bears the label of the injected, but no record of an injection."""
    UNPROTECTED = "unprotected"
    """It came through unprotected, and would be protected if it were created anew."""
    REFUSED = "refused"
    """It came through unprotected, and would be refused if it were created anew."""
    LEFT_ALONE = "left-alone"
    MISLABELLED = "mislabelled"
    """Its label has a value that means nothing, so it is not sent to the webhook."""


class WorkerPod(msgspec.Struct, frozen=True):
    """All that is kept of a pod."""

    namespace: str
    name: str
    owner: str
    """What made it, as `Deployment emails`."""
    state: State
    verdict: Finding | None = None
    """Why it is left alone or would be refused."""
    workers: dict[str, str] = {}
    """The mode of each worker container."""
    version: str = ""
    """The version that protected it."""
    ending: bool = False
    grace: int = 0
    """The seconds that it may take to end."""
    node: str = ""
    priority: int = 0
    exempt: tuple[str, ...] = ()
    """The limits of drains that leave it alone."""
    as_asked: bool = False
    """Evictions may cut its grace period."""


class Kubelets(msgspec.Struct, frozen=True):
    """How many kubelets were asked, of how many kinds of nodes, and which of them did not answer."""

    asked: int
    kinds: int
    silent: list[str]


class Limits(msgspec.Struct, frozen=True):
    """What was seen of the limits of drains."""

    bounds: list[Bound]
    unreadable: list[Unreadable]
    missing: list[str]
    """The rights for what could not be seen."""
    kubelets: Kubelets | None
    """None where nobody wanted them asked."""


class NoHistory(msgspec.Struct, frozen=True):
    """How drains went could not be seen."""

    why: str


class Observations(msgspec.Struct, frozen=True):
    """What was seen; None stands for what is not there."""

    names: Names
    configuration: JsonObject | Unseen | None
    deployment: JsonObject | Unseen | None
    replicas: list[JsonObject] | Unseen
    """The pods of the webhook itself."""
    endpoint_slices: list[JsonObject] | Unseen
    namespaces: list[Namespace] | Unseen
    pods: list[WorkerPod] | Unseen
    limits: Limits | None = None
    """None where there is no protected pod that they could concern."""
    history: History | NoHistory | None = None
    """What the watch has counted; None where there are no protected pods, or nobody wanted it asked."""

    @property
    def entries(self) -> list[JsonObject]:
        """The entries of the configuration; empty where it has not been seen."""
        if self.configuration is None or isinstance(self.configuration, Unseen):
            return []
        return self.configuration.get("webhooks") or []

    @property
    def pod_entries(self) -> list[JsonObject]:
        """The entries that send pods to the webhook."""
        return [entry for entry in self.entries if not is_guard(entry)]

    @property
    def guards(self) -> list[JsonObject]:
        """The entries that send evictions to the webhook, which takes their cut of the grace period away."""
        return [entry for entry in self.entries if is_guard(entry)]


def is_guard(entry: JsonObject) -> bool:
    """Tell whether an entry is for evictions, and not for pods."""
    resources = {resource for rule in entry.get("rules") or () for resource in rule.get("resources") or ()}
    return bool(resources) and resources <= EVICTIONS
