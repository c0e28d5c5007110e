"""What the name of an image, and that of its container, say about what runs in it."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from webhook.core.recognize.processes import suggests_worker
from webhook.core.recognize.serving_images import serves_by_image
from webhook.core.recognize.shell_less_images import explain_missing_shell

_LONGEST_MEMOIZED = 300
"""Image names of at least this length, in characters, are not memoized: real ones are shorter."""


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
    """Return what the names of an image and its container say: a cluster has few of them, in many pods."""
    return _find_memoized(image, container) if len(image) < _LONGEST_MEMOIZED else _find_hints(image, container)


def _find_hints(image: str, container: str) -> ImageHints:
    hints = ImageHints(
        serves=serves_by_image(image, container),
        suggests_worker=suggests_worker(container, image),
        shell_less=explain_missing_shell(image, container),
    )
    # The same object as the default: only that is left out when pods are compared as text.
    return hints if hints != NO_HINTS else NO_HINTS


_find_memoized = lru_cache(1024)(_find_hints)
