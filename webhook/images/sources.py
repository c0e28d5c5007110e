"""The sources of image lookups: first the operator's table, then the registry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from webhook.core.images import Images, Unavailable
from webhook.core.pod import Pod
from webhook.core.reasons import Reason
from webhook.images.command_table import CommandTable
from webhook.images.options import LookupOptions


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """The operator's table, and the options for registries; None if registry lookups are off."""

    table: CommandTable = field(default_factory=CommandTable)
    lookup: LookupOptions | None = None
    pull_secrets: bool = False
    """Whether to read the pods' own credentials in the cluster."""


class Source(Protocol):
    """Returns what images run."""

    async def find(self, pod: Pod, names: Sequence[str], namespace: str, seconds: float) -> Images:
        """Return what is known about the images of some containers, or why the lookup failed, within some seconds."""

    async def aclose(self) -> None:
        """Cancel pending lookups."""


class ImageSources:
    """Consults the table, and for other images the registry, if allowed.

    The registry client is created on first use: in most clusters, workers have their command in the manifest, and the
    client takes 2 MiB and 50 ms.
    """

    def __init__(
        self,
        table: CommandTable,
        make_registry: Callable[[], Awaitable[Source]] | None,
        off: Reason = Reason.REGISTRY_OFF,
    ) -> None:
        """Take the reason why registries are `off` if no client is created."""
        self._table = table
        self._make_registry = make_registry
        self._off = off
        self._making: asyncio.Future[Source] | None = None

    async def find(self, pod: Pod, names: Sequence[str], namespace: str, seconds: float) -> Images:
        """Return what is known about the images of some containers, or why the lookup failed, within some seconds."""
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
        """Return the client, created once; its cache is shared by all requests."""
        if self._making is None:
            self._making = asyncio.ensure_future(make())
        try:
            return await asyncio.shield(self._making)
        except Exception:
            self._making = None
            raise

    def for_anybody(self) -> ImageSources:
        """Return the sources allowed for any caller: only the table, which the operator writes for everyone."""
        return ImageSources(
            self._table, None, Reason.REGISTRY_OFF if self._make_registry is None else Reason.REGISTRY_CLOSED
        )

    async def aclose(self) -> None:
        """Cancel pending lookups."""
        if self._making is not None:
            with suppress(Exception):
                await (await self._making).aclose()
