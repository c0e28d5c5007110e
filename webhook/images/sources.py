"""The sources of image lookups: first the operator's table, then the registry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from webhook.core.image_config import Images, Unavailable
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


class ImageSource(Protocol):
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
        make_registry: Callable[[], Awaitable[ImageSource]] | None,
        disabled_reason: Reason = Reason.REGISTRY_OFF,
    ) -> None:
        """Take why registries are disabled if no client is created."""
        self._table = table
        self._make_registry = make_registry
        self._disabled_reason = disabled_reason
        self._registry: asyncio.Future[ImageSource] | None = None

    async def find(self, pod: Pod, names: Sequence[str], namespace: str, seconds: float) -> Images:
        """Return what is known about the images of some containers, or why the lookup failed, within some seconds."""
        known = {name: image for name in names if (image := self._table.find(pod.images.get(name, "")))}
        others = [name for name in names if name not in known]
        if not others:
            return known
        if self._make_registry is None:
            return {**known, **dict.fromkeys(others, Unavailable(self._disabled_reason))}
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        try:
            # Created once: its cache is shared by all requests.
            if self._registry is None:
                self._registry = asyncio.ensure_future(self._make_registry())
            registry = await asyncio.shield(self._registry)
        except Exception as error:
            # For example, its CA file has been removed. The pod is protected by what is known.
            self._registry = None
            detail = f"the client for registries cannot be created: {type(error).__name__}"
            return {**known, **dict.fromkeys(others, Unavailable(Reason.REGISTRY_FAILED, detail))}
        return {**known, **await registry.find(pod, others, namespace, deadline - clock())}

    def without_registry(self) -> ImageSources:
        """Return the sources allowed for any caller: only the table, which the operator writes for everyone."""
        return ImageSources(
            self._table, None, Reason.REGISTRY_OFF if self._make_registry is None else Reason.REGISTRY_CLOSED
        )

    async def aclose(self) -> None:
        """Cancel pending lookups."""
        if self._registry is not None:
            with suppress(Exception):
                await (await self._registry).aclose()


def make_sources(settings: ImageSettings) -> ImageSources:
    """Return the sources of a server: registries are asked with the pods' credentials."""
    if settings.lookup is None:
        return ImageSources(settings.table, None)
    # In a thread: importing the client takes 50 ms, which would delay other pods.
    make = partial(asyncio.to_thread, _make_lookup, settings.lookup, settings.pull_secrets)
    return ImageSources(settings.table, make)


def _make_lookup(options: LookupOptions, pull_secrets: bool) -> ImageSource:
    from webhook.images.lookup import ImageLookup  # noqa: PLC0415
    from webhook.images.pull_secrets import ClusterPullSecrets  # noqa: PLC0415

    return ImageLookup(options, ClusterPullSecrets() if pull_secrets else None)
