"""Reads the tables in TOML that are part of the packages."""

from __future__ import annotations

from importlib.resources import files
from typing import TypeVar

import msgspec

Table = TypeVar("Table", bound=msgspec.Struct)


def load_table(module: str, name: str, table: type[Table]) -> Table:
    """Load a TOML file next to a module.

    Raises:
        msgspec.ValidationError: a row is not valid.

    """
    return msgspec.toml.decode(files(module.rpartition(".")[0]).joinpath(name).read_bytes(), type=table)
