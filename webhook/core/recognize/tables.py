"""Reads the tables next to this module."""

from __future__ import annotations

from importlib.resources import files
from typing import TypeVar

import msgspec

Table = TypeVar("Table", bound=msgspec.Struct)


def read_table(name: str, table: type[Table]) -> Table:
    """Read a TOML file of this package."""
    return msgspec.toml.decode(files(__package__).joinpath(name).read_bytes(), type=table)
