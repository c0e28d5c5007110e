"""Where it is looked up what images run: the operator's table first, then the registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from webhook.core.images import Images
from webhook.core.pod import Pod
from webhook.images.options import LookupOptions
from webhook.images.table import CommandTable


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """The operator's table, and how registries are asked; None where they are not."""

    table: CommandTable = field(default_factory=CommandTable)
    lookup: LookupOptions | None = None
    pull_secrets: bool = False
    """Whether the pods' own credentials are read in the cluster."""


class Source(Protocol):
    """Knows what images run."""

    async def find(self, pod: Pod, names: Sequence[str], namespace: str, seconds: float) -> Images:
        """Return what is known of the images of some of a pod's containers, or why nothing is, within some seconds."""

    async def aclose(self) -> None:
        """End what is under way."""


class ImageSources:
    """Asks the table, and for what that does not say, the registry, if it may be asked.

    The client for registries is made when it is needed first: most clusters' workers have their command in the
    manifest, and it takes 2 MiB and 50 ms.
    """

    def __init__(self, table: CommandTable, make_registry: Callable[[], Awaitable[Source]] | None) -> None:
        self._table = table
        self._make_registry = make_registry
        self._registry: Source | None = None

    async def find(self, pod: Pod, names: Sequence[str], namespace: str, seconds: float) -> Images:
        """Return what is known of the images of some of a pod's containers, or why nothing is, within some seconds."""
        images = {container.name: container.image or "" for container in pod.spec.containers}
        known = {name: image for name in names if (image := self._table.find(images[name]))}
        others = [name for name in names if name not in known]
        if not others or self._make_registry is None:
            return known
        if self._registry is None:
            self._registry = await self._make_registry()
        return {**known, **await self._registry.find(pod, others, namespace, seconds)}

    async def aclose(self) -> None:
        """End what is under way."""
        if self._registry is not None:
            await self._registry.aclose()
