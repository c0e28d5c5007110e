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
    """How a worker runs, as which framework it was recognised; the signal that it gets where that is not the kubelet's.

    `imageSignal` is the one by which its image is stopped.
    """

    mode: str
    framework: str = ""
    signal: str = ""
    image_signal: str = msgspec.field(default="", name="imageSignal")


class CommandStatus(msgspec.Struct, omit_defaults=True):
    """What was done to a command, beyond the words of ours before it: they can be told from the rest.

    `was` is `absent` or `null` where it had none; `edits` are the words that were changed in the whole command line,
    without ours: an index, the words that were there, and how many there are now; to be undone in this order.
    """

    was: str = ""
    edits: list[tuple[int, list[str], int]] = []


class Status(msgspec.Struct, omit_defaults=True):
    """What was done to a pod; JSON Pointers name list items by their name (mounts by their path), not by index.

    A command and a hook may be long, and a pod's annotations may not: so they are not copied.
    """

    version: str = msgspec.field(default_factory=lambda: __version__)
    workers: dict[str, WorkerStatus] = {}
    commands: dict[str, CommandStatus] = {}
    """The containers whose commands have ours before them."""
    hooks: list[str] = []
    """The containers whose own preStop hook has ours before it."""
    before: dict[str, Any] = {}
    """The values that were replaced, such as the grace period."""
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
        return value if type(value) is int else default


def unknown_fields(annotations: dict[str, str]) -> list[str]:
    """Name the fields of a record that a newer version has written and this one does not know.

    Raises:
        Refused: it is not what graceful-worker writes.

    """
    if read_status(annotations) is None:
        return []
    record = msgspec.json.decode(annotations[STATUS_ANNOTATION])
    parts: list[tuple[str, type[msgspec.Struct], Any]] = [("", Status, record)]
    for field, kind in (("workers", WorkerStatus), ("commands", CommandStatus)):
        parts += [(f"{field}.{name}.", kind, value) for name, value in record.get(field, {}).items()]
    return [
        f"{place}{key}" for place, kind, value in parts for key in value if key not in kind.__struct_encode_fields__
    ]


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
            detail=f"annotation {STATUS_ANNOTATION} is {quoted(text)}; only graceful-worker writes it: remove it",
        ) from None
