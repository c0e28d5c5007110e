"""Resolves an image name to what it runs: with one credential after the other, through indexes to the config."""

from __future__ import annotations

from collections.abc import Mapping

from webhook.core.image_config import TROUBLES, Image
from webhook.core.reasons import Reason
from webhook.images.cache import ANONYMOUS, ImageCache, ImageQuery
from webhook.images.credentials import Credential
from webhook.images.egress import EgressPolicy
from webhook.images.errors import LookupFailed, printable
from webhook.images.http import HttpClient
from webhook.images.oci import Descriptor, Index, Manifest, NullableStr, as_strings, parse_config, parse_manifest
from webhook.images.options import Platform
from webhook.images.platform import choose_manifest
from webhook.images.reference import Reference, is_digest
from webhook.images.registry import RawManifest, RegistryClient
from webhook.images.retry import RetryingClient
from webhook.images.shell_detection import shell_less_reason

# Another credential may see more: some registries return 404 without access.
_ACCESS_REASONS = frozenset({Reason.IMAGE_DENIED, Reason.IMAGE_NOT_FOUND})
_MAX_INDEXES = 2
_SHORT_DIGEST = len("sha256:") + 12


class ImageResolver:
    """Queries registries, and updates the cache."""

    def __init__(self, client: HttpClient, egress: EgressPolicy, cache: ImageCache) -> None:
        self._client = client
        self._egress = egress
        self._cache = cache

    async def resolve(self, query: ImageQuery, deadline: float) -> Image:
        """Try each credential, then anonymously; `deadline` is a time of the event loop: see RetryingClient.

        Raises:
            LookupFailed: access is denied for all of them, or the registry cannot be reached.

        """
        first: LookupFailed | None = None
        for credential, identity in zip(query.credentials, query.identities, strict=True):
            try:
                return await self._resolve_as(query, credential, identity, deadline)
            except LookupFailed as failed:
                if failed.reason not in _ACCESS_REASONS:
                    raise
                first = first or failed
        try:
            return await self._resolve_as(query, None, ANONYMOUS, deadline)
        except LookupFailed as failed:
            raise (first or failed) from None

    async def _resolve_as(
        self, query: ImageQuery, credential: Credential | None, identity: str, deadline: float
    ) -> Image:
        base_url = self._egress.base_url(query.reference.host)
        client = RetryingClient(self._client, deadline)
        registry = RegistryClient(client, base_url, query.reference, credential)
        try:
            return await self._revalidate_or_fetch(query, registry, identity)
        except LookupFailed as failed:
            if failed.reason not in TROUBLES:
                self._cache.forget_tag(query.reference, identity)
            raise

    async def _revalidate_or_fetch(self, query: ImageQuery, registry: RegistryClient, identity: str) -> Image:
        reference, platform, cache = query.reference, query.platform, self._cache
        if cache.has_tag(reference, identity):
            digest = await registry.get_digest()
            if image := cache.get_by_digest(reference, platform, identity, digest):
                cache.put(reference, platform, identity, digest, image)
                return image
            if digest:
                cache.forget_tag(reference, identity, unless=digest)
        manifest = await registry.get_manifest(reference.tag_or_digest)
        # Whatever happens to the rest.
        cache.forget_tag(reference, identity, unless=manifest.digest)
        image = await _fetch_image(registry, manifest, reference, platform)
        cache.put(reference, platform, identity, manifest.digest, image)
        return image


async def _fetch_image(
    registry: RegistryClient, raw_manifest: RawManifest, reference: Reference, platform: Platform
) -> Image:
    """Return what the image for a platform runs, starting at the manifest or index that a name refers to.

    Raises:
        LookupFailed: the image cannot be read.

    """
    digest = raw_manifest.digest
    manifest = parse_manifest(raw_manifest.body, raw_manifest.content_type)
    annotations: Mapping[str, NullableStr] = {}
    for _ in range(_MAX_INDEXES):
        if isinstance(manifest, Manifest):
            break
        entry = choose_manifest(manifest.manifests, platform)
        annotations = entry.annotations or {}
        raw_manifest = await registry.get_manifest(_digest(entry))
        manifest = parse_manifest(raw_manifest.body, raw_manifest.content_type)
    if isinstance(manifest, Index):
        raise LookupFailed(Reason.IMAGE_INVALID, "its indexes are nested too deeply")
    config = parse_config(await registry.get_blob(_digest(manifest.config)))
    execution = config.execution
    return Image(
        as_strings(execution.entrypoint),
        as_strings(execution.cmd),
        execution.stop_signal or "",
        shell_less_reason(manifest, config, annotations),
        bool(execution.exposed_ports),
        f"{reference.name}@{digest[:_SHORT_DIGEST]}…",
    )


def _digest(descriptor: Descriptor) -> str:
    """Return the digest of a descriptor.

    Raises:
        LookupFailed: it cannot be verified.

    """
    digest = descriptor.digest or ""
    if not is_digest(digest):
        raise LookupFailed(Reason.IMAGE_INVALID, f"{printable(digest) or 'nothing'} is not a verifiable digest")
    return digest
