"""Patterns as file names have them: several made into one, and those of a simple kind that are compared quickly."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Self

import msgspec


def any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """Make one pattern of several; of none, one that fits nothing."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")


class Names(msgspec.Struct, frozen=True):
    """Names, whole or with a star at one end: a tenth of what a regular expression with as many branches costs."""

    whole: frozenset[str]
    beginnings: tuple[str, ...]
    ends: tuple[str, ...]

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Self:
        """Sort patterns by their star."""
        patterns = frozenset(patterns)
        beginnings = frozenset(pattern for pattern in patterns if pattern.endswith("*"))
        ends = frozenset(pattern for pattern in patterns if pattern.startswith("*"))
        return cls(
            patterns - beginnings - ends,
            tuple(sorted(pattern[:-1] for pattern in beginnings)),
            tuple(sorted(pattern[1:] for pattern in ends)),
        )

    def __contains__(self, name: str) -> bool:
        """Tell whether a name is one of them."""
        return name in self.whole or name.startswith(self.beginnings) or name.endswith(self.ends)
