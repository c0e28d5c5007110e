"""What the name of an image, and that of its container, say about what runs in it."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from webhook.core.annotations import LONGEST_CONTAINER_NAME
from webhook.core.recognize.processes import suggests_worker
from webhook.core.recognize.serving_images import serves_by_image
from webhook.core.recognize.shell_less_images import explain_missing_shell

_LONGEST_IMAGE = 520
"""Maximum length of an image name, in characters: a name of 255, a tag of 128, and a SHA-512 digest.

https://github.com/distribution/reference/blob/v0.6.0/reference.go
"""


class ImageHints(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """All that decisions learn from the name of an image: two releases of one program differ in its tag alone."""

    serves: bool = False
    """It serves, or assists a worker."""
    suggests_worker: bool = False
    """It says that it works a queue off."""
    shell_less: str = ""
    """Why it has no shell for a hook, as half a sentence; empty where it may have one."""


NO_HINTS = ImageHints()


def hints_of(image: str, container: str) -> ImageHints:
    """Return what the names of an image and its container say; nothing if one of them is too long to be valid."""
    if len(image) > _LONGEST_IMAGE or len(container) > LONGEST_CONTAINER_NAME:
        return NO_HINTS
    return _find_hints(image, container)


@lru_cache(1024)
def _find_hints(image: str, container: str) -> ImageHints:
    """Memoized: a cluster has few different names, in many pods."""
    hints = ImageHints(
        serves=serves_by_image(image, container),
        suggests_worker=suggests_worker(container, image),
        shell_less=explain_missing_shell(image, container),
    )
    # The same object as the default: only that is left out when pods are compared as text.
    return hints if hints != NO_HINTS else NO_HINTS
