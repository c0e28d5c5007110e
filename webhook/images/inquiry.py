"""Looks up one image with one credential after the other, and updates the cache."""

from __future__ import annotations

from dataclasses import dataclass

from webhook.core.images import TROUBLES, Image, Unavailable
from webhook.core.reasons import Reason
from webhook.images.cache import NOBODY, Cache
from webhook.images.credentials import Credential
from webhook.images.egress import EgressPolicy
from webhook.images.errors import LookupFailed
from webhook.images.http import HttpClient
from webhook.images.options import Platform
from webhook.images.reading import read_image
from webhook.images.reference import Reference
from webhook.images.registry import RegistryClient
from webhook.images.retry import RetryingClient

# Another credential may see more: some registries return 404 without access.
_HIDDEN = frozenset({Reason.IMAGE_DENIED, Reason.IMAGE_NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pod's question; `identities` are those of its credentials, in the same order."""

    reference: Reference
    platform: Platform
    credentials: tuple[Credential, ...] = ()
    identities: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[Reference, Platform, tuple[str, ...]]:
        """Equal for pods with the same answer, without containing the credentials."""
        return self.reference, self.platform, self.identities


class Inquiry:
    """Queries registries and updates the cache."""

    def __init__(self, client: HttpClient, egress: EgressPolicy, cache: Cache) -> None:
        self._client = client
        self._egress = egress
        self._cache = cache

    def known(self, wanted: Wanted) -> Image | Unavailable | None:
        """Return the cached image, or a recent failure."""
        reference, platform = wanted.reference, wanted.platform
        found = (self._cache.image(reference, platform, identity) for identity in (*wanted.identities, NOBODY))
        return next(filter(None, found), None) or self._cache.failure(wanted.key)

    def stale(self, wanted: Wanted) -> Image | None:
        """Return the stale image shown to one of these credentials, or to everyone."""
        reference, platform = wanted.reference, wanted.platform
        found = (self._cache.stale(reference, platform, identity) for identity in (*wanted.identities, NOBODY))
        return next(filter(None, found), None)

    async def ask(self, wanted: Wanted, until: float) -> Image:
        """Try each credential, then anonymously; `until` is a time of the event loop: see RetryingClient.

        Raises:
            LookupFailed: access is denied for all of them, or the registry cannot be reached.

        """
        first: LookupFailed | None = None
        for credential, identity in zip(wanted.credentials, wanted.identities, strict=True):
            try:
                return await self._ask_as(wanted, credential, identity, until)
            except LookupFailed as failed:
                if failed.reason not in _HIDDEN:
                    raise
                first = first or failed
        try:
            return await self._ask_as(wanted, None, NOBODY, until)
        except LookupFailed as failed:
            raise (first or failed) from None

    async def _ask_as(self, wanted: Wanted, credential: Credential | None, identity: str, until: float) -> Image:
        base = self._egress.base_url(wanted.reference.host)
        registry = RegistryClient(RetryingClient(self._client, until), base, wanted.reference, credential)
        try:
            return await self._learn(wanted, registry, identity)
        except LookupFailed as failed:
            if failed.reason not in TROUBLES:
                self._cache.forget(wanted.reference, identity)
            raise

    async def _learn(self, wanted: Wanted, registry: RegistryClient, identity: str) -> Image:
        reference, platform, cache = wanted.reference, wanted.platform, self._cache
        if cache.was_known(reference, identity):
            digest = await registry.get_digest()
            image = cache.meant(reference, platform, identity, digest)
            if image:
                cache.put_image(reference, platform, identity, digest, image)
                return image
            if digest:
                cache.forget(reference, identity, but=digest)
        document = await registry.get_manifest(reference.version)
        # Whatever happens to the rest.
        cache.forget(reference, identity, but=document.digest)
        image = await read_image(registry, document, reference, platform)
        cache.put_image(reference, platform, identity, document.digest, image)
        return image
