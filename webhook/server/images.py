"""Image lookups of the server: the operator's table, and registries with the pods' credentials."""

from __future__ import annotations

import asyncio
from functools import partial

from webhook.images.options import LookupOptions
from webhook.images.sources import ImageSettings, ImageSources, Source


def make_sources(settings: ImageSettings) -> ImageSources:
    """Return the sources for image lookups."""
    if settings.lookup is None:
        return ImageSources(settings.table, None)
    return ImageSources(settings.table, partial(_make_registry, settings.lookup, settings.pull_secrets))


async def _make_registry(options: LookupOptions, pull_secrets: bool) -> Source:
    # In a thread: importing the client takes 50 ms, which would delay other pods.
    return await asyncio.to_thread(_import_registry, options, pull_secrets)


def _import_registry(options: LookupOptions, pull_secrets: bool) -> Source:
    from webhook.images.lookup import ImageLookup  # noqa: PLC0415
    from webhook.images.pull_secrets import ClusterPullSecrets  # noqa: PLC0415

    return ImageLookup(options, ClusterPullSecrets() if pull_secrets else None)
