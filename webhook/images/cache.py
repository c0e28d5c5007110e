"""Caches image lookups per credential, with expiry."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import inf
from typing import TypeVar

from webhook.core.image_config import Image, Unavailable
from webhook.images.credentials import Credential
from webhook.images.options import LookupOptions, Platform
from webhook.images.reference import Reference

MAX_ENTRIES = 2048
ANONYMOUS = ""
"""The identity of requests without a credential: what they may see, everyone may see."""
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """What a pod needs to know; `identities` are those of its credentials, in the same order."""

    reference: Reference
    platform: Platform
    credentials: tuple[Credential, ...] = ()
    identities: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[Reference, Platform, tuple[str, ...]]:
        """Equal for pods with the same result, without containing the credentials."""
        return self.reference, self.platform, self.identities


class _LruCache(OrderedDict[Key, Value]):
    """A mapping that drops the least recently used entries."""

    def find(self, key: Key) -> Value | None:
        if key in self:
            self.move_to_end(key)
        return self.get(key)

    def put(self, key: Key, value: Value) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > MAX_ENTRIES:
            self.popitem(last=False)


class ImageCache:
    """Caches digests indefinitely, tags and failures for a while.

    An expired tag is stale, and still used if its registry cannot be reached.

    Entries are kept per identity, that of the credential to which the registry has shown the image: a digest shown to
    one credential is not shown to pods with others. The repository is part of the key, because an owner of a registry
    can write any digest into a manifest.
    """

    def __init__(self, clock: Callable[[], float], options: LookupOptions) -> None:
        self._clock = clock
        self._options = options
        self._images: _LruCache[tuple[str, str, str, Platform], Image] = _LruCache()
        self._digests: _LruCache[tuple[str, str, str], tuple[str, float]] = _LruCache()
        self._failures: _LruCache[Hashable, tuple[Unavailable, float]] = _LruCache()

    def find(self, query: ImageQuery) -> Image | Unavailable | None:
        """Return the image shown to one of these credentials, or to everyone, or else a recent failure."""
        found = (self.get(query.reference, query.platform, identity) for identity in (*query.identities, ANONYMOUS))
        return next(filter(None, found), None) or self._get_failure(query.key)

    def find_stale(self, query: ImageQuery) -> Image | None:
        """Return the stale image shown to one of these credentials, or to everyone, if it is not too old."""
        if query.reference.digest:
            return None
        seconds = self._options.stale_seconds
        identities = (*query.identities, ANONYMOUS)
        found = (self._get_by_tag(query.reference, query.platform, identity, seconds) for identity in identities)
        return next(filter(None, found), None)

    def get(self, reference: Reference, platform: Platform, identity: str) -> Image | None:
        """Return the image of a name, if it is still valid."""
        if reference.digest:
            return self.get_by_digest(reference, platform, identity, reference.digest)
        return self._get_by_tag(reference, platform, identity, self._options.tag_seconds)

    def _get_by_tag(self, reference: Reference, platform: Platform, identity: str, seconds: float) -> Image | None:
        digest, since = self._digests.find((reference.name, reference.tag, identity)) or ("", -inf)
        return self.get_by_digest(reference, platform, identity, digest) if self._clock() < since + seconds else None

    def get_by_digest(self, reference: Reference, platform: Platform, identity: str, digest: str) -> Image | None:
        """Return the image of a digest in the repository of a name."""
        return self._images.find((reference.name, identity, digest, platform))

    def has_tag(self, reference: Reference, identity: str) -> bool:
        """Tell whether a tag is cached, valid or not."""
        return not reference.digest and self._digests.find((reference.name, reference.tag, identity)) is not None

    def put(self, reference: Reference, platform: Platform, identity: str, digest: str, image: Image) -> None:
        """Cache the current image of a name."""
        self._images.put((reference.name, identity, digest, platform), image)
        if not reference.digest:
            self._digests.put((reference.name, reference.tag, identity), (digest, self._clock()))

    def forget_tag(self, reference: Reference, identity: str, unless: str = "") -> None:
        """Forget a tag, unless it has this digest: it has changed, or is no longer visible."""
        key = reference.name, reference.tag, identity
        if (self._digests.find(key) or ("",))[0] != unless:
            self._digests.pop(key, None)

    def _get_failure(self, key: Hashable) -> Unavailable | None:
        unavailable, expires = self._failures.find(key) or (None, 0.0)
        return unavailable if self._clock() < expires else None

    def put_failure(self, key: Hashable, unavailable: Unavailable, seconds: float | None) -> None:
        """Cache a failure."""
        duration = self._options.failure_seconds if seconds is None else seconds
        self._failures.put(key, (unavailable, self._clock() + duration))
