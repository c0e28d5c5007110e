"""The annotation in which an injected pod says what was done to it, complete enough to undo it."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from webhook import __version__
from webhook.core.annotations import STATUS_ANNOTATION
from webhook.core.reasons import Reason
from webhook.core.refusal import Refused, quoted

GRACE_POINTER = "/spec/terminationGracePeriodSeconds"


class WorkerStatus(msgspec.Struct, omit_defaults=True):
    """How a worker runs, as which framework it was recognised, and the signal by which its image is stopped."""

    mode: str
    framework: str = ""
    image_signal: str = msgspec.field(default="", name="imageSignal")


class Status(msgspec.Struct):
    """What was done to a pod; JSON Pointers name list items by their name (mounts by their path), not by index."""

    version: str = __version__
    workers: dict[str, WorkerStatus] = {}
    before: dict[str, Any] = {}
    """The values that were replaced: a worker's original command, the grace period."""
    added: list[str] = []
    """The fields and list items that were not there."""
    created: dict[str, str] = {}
    """The objects and lists that had to be made to hold these: they were `absent` or `null`."""
    moved: dict[str, int] | UnsetType = UNSET
    """The containers that became native sidecars, and where they were among the regular ones, all of these counted."""

    def grace_before(self, default: int) -> int | None:
        """Return the pod's grace period, in seconds, before it was raised; None where it was not."""
        if GRACE_POINTER in self.added:
            return default
        if GRACE_POINTER not in self.before:
            return None
        value = self.before[GRACE_POINTER]
        if value is None:
            return default
        # Not isinstance(): the record has been in other hands, and True is an int.
        return value if type(value) is int else None


def read_status(annotations: dict[str, str]) -> Status | None:
    """Read the status annotation; None where there is none.

    Raises:
        Refused: it is not what graceful-worker writes.

    """
    text = annotations.get(STATUS_ANNOTATION)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Status)
    except (msgspec.DecodeError, RecursionError):
        raise Refused(
            Reason.ANNOTATION_INVALID,
            detail=f"annotation {STATUS_ANNOTATION} is {quoted(text)}; graceful-worker writes it itself: remove it",
        ) from None
