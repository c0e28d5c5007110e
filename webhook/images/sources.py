"""Where it is looked up what images run: the operator's table first, then the registry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from webhook.core.images import Images, Unavailable
from webhook.core.pod import Pod
from webhook.core.reasons import Reason
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

    def __init__(
        self,
        table: CommandTable,
        make_registry: Callable[[], Awaitable[Source]] | None,
        off: Reason = Reason.REGISTRY_OFF,
    ) -> None:
        """Take the reason why registries are `off` where nothing makes a client for them."""
        self._table = table
        self._make_registry = make_registry
        self._off = off
        self._making: asyncio.Future[Source] | None = None

    async def find(self, pod: Pod, names: Sequence[str], namespace: str, seconds: float) -> Images:
        """Return what is known of the images of some of a pod's containers, or why nothing is, within some seconds."""
        known = {name: image for name in names if (image := self._table.find(pod.images.get(name, "")))}
        others = [name for name in names if name not in known]
        if not others:
            return known
        if self._make_registry is None:
            return {**known, **dict.fromkeys(others, Unavailable(self._off))}
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        registry = await self._registry(self._make_registry)
        return {**known, **await registry.find(pod, others, namespace, until - clock())}

    async def _registry(self, make: Callable[[], Awaitable[Source]]) -> Source:
        """Return the one client, however many want it while it is made; it shares what it learns among all."""
        if self._making is None:
            self._making = asyncio.ensure_future(make())
        try:
            return await asyncio.shield(self._making)
        except Exception:
            self._making = None
            raise

    def for_anybody(self) -> ImageSources:
        """Return what may be asked for whoever calls: the table, which the operator writes for all."""
        return ImageSources(
            self._table, None, Reason.REGISTRY_OFF if self._make_registry is None else Reason.REGISTRY_CLOSED
        )

    async def aclose(self) -> None:
        """End what is under way."""
        if self._making is not None:
            with suppress(Exception):
                await (await self._making).aclose()
