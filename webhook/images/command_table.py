"""The operator's table of images and their commands: for registries that cannot be reached, and for local images."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import msgspec

from webhook.core.annotations import PASSED_SIGNALS
from webhook.core.image_config import Image, image_signal
from webhook.images.errors import InvalidTable

Argv = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row: a pattern of image names as in pods (`*` matches anything), and the command of such an image.

    `command` is used like `command:` in the manifest, followed by the pod's `args`. With `entrypoint` and `cmd`
    instead, `args` replace `cmd`, as in the image.
    """

    image: str
    command: Argv | None = None
    entrypoint: Argv | None = None
    cmd: tuple[str, ...] = ()
    stop_signal: str = ""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    image: tuple[Row, ...] = ()


class CommandTable:
    """Finds an image's row: the first one that matches."""

    def __init__(self, rows: tuple[Row, ...] = ()) -> None:
        self._rows = rows

    def find(self, name: str) -> Image | None:
        """Return the table's entry for an image; None if there is none."""
        for row in self._rows:
            if fnmatchcase(name, row.image):
                command = row.command or row.entrypoint or ()
                return Image(command, row.cmd, row.stop_signal, source=f"the table: {row.image}")
        return None


def read_table(file: Path) -> CommandTable:
    """Read a table (TOML).

    Raises:
        InvalidTable: it cannot be read, or is not valid.

    """
    try:
        table = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), _Table)
    except OSError as error:
        raise InvalidTable(f"{file}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        # The errors of tomllib and msgspec, which say where.
        raise InvalidTable(f"{file}: {error}") from None
    for row in table.image:
        where = f"{file}: image {row.image!r}"
        argv = (*(row.command or ()), *(row.entrypoint or ()), *row.cmd)
        if argv and not argv[0]:
            raise InvalidTable(f"{where}: the first word is empty")
        if row.stop_signal and image_signal(Image(stop_signal=row.stop_signal)) not in PASSED_SIGNALS:
            signals = ", ".join(PASSED_SIGNALS)
            raise InvalidTable(f"{where}: stop_signal is {row.stop_signal!r}; write one of {signals}")
        if bool(row.command) == bool(row.entrypoint or row.cmd):
            raise InvalidTable(f"{where}: write either command, or entrypoint and cmd")
    return CommandTable(table.image)
