"""What the name of an image, and that of its container, say about what runs in it."""

from __future__ import annotations

import msgspec

from webhook.core.recognize.image_names import memoized_by_names
from webhook.core.recognize.processes import suggests_worker
from webhook.core.recognize.serving_images import serves_by_image
from webhook.core.recognize.shell_less_images import explain_missing_shell


class ImageHints(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """All that decisions learn from the name of an image: two releases of one program differ in its tag alone."""

    serves: bool = False
    """It serves, or assists a worker."""
    suggests_worker: bool = False
    """It says that it works a queue off."""
    shell_less: str = ""
    """Why it has no shell for a hook, as half a sentence; empty where it may have one."""


NO_HINTS = ImageHints()


@memoized_by_names
def hints_of(image: str, container: str) -> ImageHints:
    """Return what the names of an image and its container say."""
    hints = ImageHints(
        serves=serves_by_image(image, container),
        suggests_worker=suggests_worker(container, image),
        shell_less=explain_missing_shell(image, container),
    )
    # The same object as the default: only that is left out when pods are compared as text.
    return hints if hints != NO_HINTS else NO_HINTS
