"""Decisions on the pods in manifests; images are looked up with the user's own credentials."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from webhook.core.images import Image, Unavailable
from webhook.core.injection import Injection, inject
from webhook.core.pod import JsonObject, read_pod
from webhook.core.policy import Policy
from webhook.images.options import LookupOptions
from webhook.images.sources import ImageSettings, ImageSources, Source

SECONDS = 30.0
"""Timeout for registries: only the user is waiting."""


def decide_all(pods: Sequence[JsonObject], policy: Policy, settings: ImageSettings) -> list[Injection]:
    """Decide on raw pods or pod templates."""
    injections = [inject(pod, policy) for pod in pods]
    if not any(injection.decision.lookups for injection in injections):
        return injections
    return asyncio.run(_decide_with_images(pods, injections, policy, settings))


async def _decide_with_images(
    pods: Sequence[JsonObject], injections: Sequence[Injection], policy: Policy, settings: ImageSettings
) -> list[Injection]:
    lookup = settings.lookup

    async def make_registry() -> Source:
        return _registry(lookup or LookupOptions())

    sources = ImageSources(settings.table, make_registry if lookup else None)

    async def decide(pod: JsonObject, injection: Injection) -> Injection:
        images: dict[str, Image | Unavailable] = {}
        while ask := injection.decision.lookups:
            images |= await sources.find(read_pod(pod), ask, "", SECONDS)
            injection = inject(pod, policy, images)
        return injection

    try:
        return await asyncio.gather(*map(decide, pods, injections))
    finally:
        await sources.aclose()


def _registry(options: LookupOptions) -> Source:
    from webhook.images.docker_config import read_docker_config  # noqa: PLC0415 - few manifests need a registry
    from webhook.images.lookup import ImageLookup  # noqa: PLC0415

    return ImageLookup(replace(options, local_hosts=("*",)), credentials=read_docker_config())
