"""What the name of an image, and that of its container, say about what runs in it."""

from __future__ import annotations

import msgspec

from webhook.core.recognize.image_names import remembered
from webhook.core.recognize.processes import says_worker
from webhook.core.recognize.serving_images import serves_by_image
from webhook.core.recognize.shell_less_images import shell_less_because


class ImageHints(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """All that decisions learn from the name of an image: two releases of one program differ in its tag alone."""

    serves: bool = False
    """It serves, or assists a worker."""
    says_worker: bool = False
    """It says that it works a queue off."""
    shell_less: str = ""
    """Why it has no shell for a hook, as half a sentence; empty where it may have one."""


NO_HINTS = ImageHints()


@remembered
def hints_of(image: str, container: str) -> ImageHints:
    """Return what the names of an image and its container say."""
    hints = ImageHints(
        serves=serves_by_image(image, container),
        says_worker=says_worker(container, image),
        shell_less=shell_less_because(image, container),
    )
    # The same object as the default: only that is left out when pods are compared as text.
    return hints if hints != NO_HINTS else NO_HINTS
