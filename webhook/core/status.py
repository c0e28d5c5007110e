"""The status annotation: records what an injection changed, so that it can be undone."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from webhook import __version__
from webhook.core.annotations import STATUS_ANNOTATION
from webhook.core.errors import Refused
from webhook.core.formatting import quoted
from webhook.core.reasons import Reason

GRACE_POINTER = "/spec/terminationGracePeriodSeconds"


class WorkerStatus(msgspec.Struct, omit_defaults=True):
    """How a worker runs, its framework, and its signal if that is not the kubelet's.

    `imageSignal` is the image's stop signal.
    """

    mode: str
    framework: str = ""
    signal: str = ""
    image_signal: str = msgspec.field(default="", name="imageSignal")


class CommandStatus(msgspec.Struct, omit_defaults=True):
    """What changed in a command, apart from the words put before it, which are recognisable.

    `was` is `absent` or `null` if there was no command. `edits` are the changed words of the whole command line without
    the wrapper: an index, the previous words, and their current number, to be undone in this order.
    """

    was: str = ""
    edits: list[tuple[int, list[str], int]] = []


class Status(msgspec.Struct, omit_defaults=True):
    """What changed in a pod; JSON Pointers identify list items by name (mounts by path), not by index.

    Commands and hooks are not copied, because they may be long and annotations are limited.
    """

    version: str = msgspec.field(default_factory=lambda: __version__)
    workers: dict[str, WorkerStatus] = {}
    commands: dict[str, CommandStatus] = {}
    """The containers whose command is wrapped."""
    hooks: list[str] = []
    """The containers whose own preStop hook is wrapped."""
    before: dict[str, Any] = {}
    """The replaced values, such as the grace period."""
    added: list[str] = []
    """The fields and list items that were added."""
    created: dict[str, str] = {}
    """The objects and lists created for these; they were `absent` or `null`."""
    moved: dict[str, int] | UnsetType = UNSET
    """The sidecars that became native, and their previous index among the regular containers."""

    def original_grace_period(self, default: int) -> int | None:
        """Return the pod's grace period before it was raised, in seconds; None if it was not raised."""
        if GRACE_POINTER in self.added:
            return default
        if GRACE_POINTER not in self.before:
            return None
        value = self.before[GRACE_POINTER]
        # Not isinstance(): others can edit the annotation, and True is an int.
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
    """Read the status annotation; None if there is none.

    Raises:
        Refused: it is not valid.

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
