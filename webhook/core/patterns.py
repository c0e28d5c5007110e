"""Patterns as file names have them, several made into one that is compiled once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate


def any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """Make one pattern of several; of none, one that fits nothing."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")
