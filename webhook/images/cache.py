"""What has been learned of images, for those who could learn it themselves, and for how long it holds."""

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
"""Who has shown no credential: what nobody in particular is shown, everybody may see."""
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class _Recent(Generic[Key, Value]):
    """A mapping that forgets what was asked for longest ago."""

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
    """Remembers what digests mean for ever, what tags mean and what failed for a while.

    What a tag has meant outlives that: it is stale, and serves where its registry cannot be asked.

    All by an identity, that of the credential which the registry has shown the image to: a digest that somebody else
    has been shown says nothing to a pod that would not be shown it. The repository belongs to it, too: whoever has a
    registry can write any digest into a manifest.
    """

    def __init__(self, clock: Callable[[], float], options: LookupOptions) -> None:
        self._clock = clock
        self._options = options
        self._images: _Recent[tuple[str, str, str, Platform], Image] = _Recent()
        self._digests: _Recent[tuple[str, str, str], tuple[str, float]] = _Recent()
        self._failures: _Recent[Hashable, tuple[Unavailable, float]] = _Recent()

    def image(self, reference: Reference, platform: Platform, identity: str) -> Image | None:
        """Return what an image's name means, if that is known and still holds."""
        if reference.digest:
            return self.meant(reference, platform, identity, reference.digest)
        return self._of_tag(reference, platform, identity, self._options.tag_seconds)

    def stale(self, reference: Reference, platform: Platform, identity: str) -> Image | None:
        """Return what an image's name has meant, if its registry has said so not too long ago."""
        return None if reference.digest else self._of_tag(reference, platform, identity, self._options.stale_seconds)

    def _of_tag(self, reference: Reference, platform: Platform, identity: str, seconds: float) -> Image | None:
        digest, since = self._digests.get((reference.name, reference.tag, identity)) or ("", -inf)
        return self.meant(reference, platform, identity, digest) if self._clock() < since + seconds else None

    def meant(self, reference: Reference, platform: Platform, identity: str, digest: str) -> Image | None:
        """Return what a digest means, in the repository of a name."""
        return self._images.get((reference.name, identity, digest, platform))

    def was_known(self, reference: Reference, identity: str) -> bool:
        """Tell whether it was known what a tag means, whether or not that still holds."""
        return not reference.digest and self._digests.get((reference.name, reference.tag, identity)) is not None

    def put_image(self, reference: Reference, platform: Platform, identity: str, digest: str, image: Image) -> None:
        """Remember what an image's name means now."""
        self._images.put((reference.name, identity, digest, platform), image)
        if not reference.digest:
            self._digests.put((reference.name, reference.tag, identity), (digest, self._clock()))

    def forget(self, reference: Reference, identity: str, but: str = "") -> None:
        """Forget what a tag has meant, unless it was this digest: it no longer does, or is no longer shown."""
        key = reference.name, reference.tag, identity
        if (self._digests.get(key) or ("",))[0] != but:
            self._digests.drop(key)

    def failure(self, key: Hashable) -> Unavailable | None:
        """Return why a question has failed a short time ago."""
        unavailable, until = self._failures.get(key) or (None, 0.0)
        return unavailable if self._clock() < until else None

    def put_failure(self, key: Hashable, unavailable: Unavailable, seconds: float | None) -> None:
        """Remember why a question has failed."""
        lasting = self._options.failure_seconds if seconds is None else seconds
        self._failures.put(key, (unavailable, self._clock() + lasting))
