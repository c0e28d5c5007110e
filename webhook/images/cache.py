"""Caches image lookups per credential, with expiry."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from math import inf
from typing import Generic, TypeVar

from webhook.core.images import Image, Unavailable
from webhook.images.options import LookupOptions, Platform
from webhook.images.reference import Reference

MOST = 2048
NOBODY = ""
"""The identity of requests without a credential: what they may see, everyone may see."""
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class _Recent(Generic[Key, Value]):
    """A mapping that drops the least recently used entries."""

    def __init__(self) -> None:
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: Key, value: Value) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > MOST:
            self._values.popitem(last=False)

    def drop(self, key: Key) -> None:
        self._values.pop(key, None)


class Cache:
    """Caches digests indefinitely, tags and failures for a while.

    An expired tag is stale, and still used if its registry cannot be reached.

    Entries are kept per identity, that of the credential to which the registry has shown the image: a digest shown to
    one credential is not shown to pods with others. The repository is part of the key, because an owner of a registry
    can write any digest into a manifest.
    """

    def __init__(self, clock: Callable[[], float], options: LookupOptions) -> None:
        self._clock = clock
        self._options = options
        self._images: _Recent[tuple[str, str, str, Platform], Image] = _Recent()
        self._digests: _Recent[tuple[str, str, str], tuple[str, float]] = _Recent()
        self._failures: _Recent[Hashable, tuple[Unavailable, float]] = _Recent()

    def image(self, reference: Reference, platform: Platform, identity: str) -> Image | None:
        """Return the cached image of a name, if it is still valid."""
        if reference.digest:
            return self.meant(reference, platform, identity, reference.digest)
        return self._of_tag(reference, platform, identity, self._options.tag_seconds)

    def stale(self, reference: Reference, platform: Platform, identity: str) -> Image | None:
        """Return the stale image of a name, if it is not too old."""
        return None if reference.digest else self._of_tag(reference, platform, identity, self._options.stale_seconds)

    def _of_tag(self, reference: Reference, platform: Platform, identity: str, seconds: float) -> Image | None:
        digest, since = self._digests.get((reference.name, reference.tag, identity)) or ("", -inf)
        return self.meant(reference, platform, identity, digest) if self._clock() < since + seconds else None

    def meant(self, reference: Reference, platform: Platform, identity: str, digest: str) -> Image | None:
        """Return the cached image of a digest in the repository of a name."""
        return self._images.get((reference.name, identity, digest, platform))

    def was_known(self, reference: Reference, identity: str) -> bool:
        """Tell whether a tag was cached, valid or not."""
        return not reference.digest and self._digests.get((reference.name, reference.tag, identity)) is not None

    def put_image(self, reference: Reference, platform: Platform, identity: str, digest: str, image: Image) -> None:
        """Cache the current image of a name."""
        self._images.put((reference.name, identity, digest, platform), image)
        if not reference.digest:
            self._digests.put((reference.name, reference.tag, identity), (digest, self._clock()))

    def forget(self, reference: Reference, identity: str, but: str = "") -> None:
        """Forget a tag, unless it had this digest: it has changed, or is no longer visible."""
        key = reference.name, reference.tag, identity
        if (self._digests.get(key) or ("",))[0] != but:
            self._digests.drop(key)

    def failure(self, key: Hashable) -> Unavailable | None:
        """Return a recent failure."""
        unavailable, until = self._failures.get(key) or (None, 0.0)
        return unavailable if self._clock() < until else None

    def put_failure(self, key: Hashable, unavailable: Unavailable, seconds: float | None) -> None:
        """Cache a failure."""
        lasting = self._options.failure_seconds if seconds is None else seconds
        self._failures.put(key, (unavailable, self._clock() + lasting))
