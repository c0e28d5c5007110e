"""The worker frameworks that are known by their command line: the table itself is frameworks.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import Annotated, TypeAlias

import msgspec

from webhook.core.annotations import Mode
from webhook.core.command_line import CommandLine, Launcher, Launchers, Program, basename, read_command_line


class Flag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A flag that a worker needs in a mode: its spellings, the words to add where it is missing, its highest value."""

    mode: Mode
    names: tuple[str, ...]
    add: tuple[str, ...]
    source: str
    most: int = 0

    def given_in(self, words: Sequence[str]) -> bool:
        """Tell whether a command line has the flag, as `--flag`, `--flag=value` or `-fVALUE`."""
        return self._value(words) is not None

    def value_in(self, words: Sequence[str]) -> int:
        """Return the flag's number in a command line; 0 where it has none."""
        value = self._value(words) or ""
        return int(value) if value.isdecimal() and len(value) < 20 else 0

    def _value(self, words: Sequence[str]) -> str | None:
        for position, word in enumerate(words):
            for name in self.names:
                if word == name:
                    return words[position + 1] if position + 1 < len(words) else ""
                if word.startswith(f"{name}="):
                    return word.removeprefix(f"{name}=")
                if len(name) == 2 and word.startswith(name):
                    return word.removeprefix(name)
        return None


class Framework(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table; CONTRIBUTING.md says what each field means."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]+$")]
    title: str
    commands: tuple[str, ...]
    mode: Mode
    signal: str
    source: str
    why: str
    awaits_child: bool = False
    caution: Annotated[str, msgspec.Meta(max_length=80)] = ""
    note: str = ""
    flags: tuple[Flag, ...] = ()


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole table; of rows that fit a command line, the first one counts."""

    framework: tuple[Framework, ...]
    launcher: tuple[Launcher, ...]


class Match(msgspec.Struct, frozen=True):
    """A framework found in a command line; `behind` is the index behind its last word in the program's words."""

    framework: Framework
    program: Program
    behind: int


def load_table() -> Table:
    """Read the table that comes with the package."""
    text = files("webhook.core").joinpath("frameworks.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Table)


TABLE = load_table()


class _Pattern(msgspec.Struct, frozen=True):
    """A command of a framework, as words, and the rank of its row in the table."""

    rank: int
    framework: Framework
    words: tuple[str, ...]


def _patterns_by_name(table: Table) -> dict[str, list[_Pattern]]:
    """Sort patterns by the name of their program: a hostile shell string runs thousands of commands."""
    patterns: dict[str, list[_Pattern]] = {}
    for rank, framework in enumerate(table.framework):
        for command in framework.commands:
            words = tuple(command.split())
            patterns.setdefault(basename(words[0]), []).append(_Pattern(rank, framework, words))
    return patterns


_PATTERNS = _patterns_by_name(TABLE)
_LAUNCHERS = Launchers(TABLE.launcher)


Found: TypeAlias = tuple[CommandLine, Match | None]
"""A command line, and the framework that it runs, if that is a known one."""


def find_framework(argv: Sequence[str]) -> Found:
    """Read an argv, and find the framework whose worker it runs."""
    line = read_command_line(argv, _LAUNCHERS)
    rank = len(TABLE.framework)
    match = None
    for program in line.programs:
        for pattern in _PATTERNS.get(basename(program.words[0]), ()):
            behind = _fits(pattern.words, program.words) if pattern.rank < rank else 0
            if behind:
                rank, match = pattern.rank, Match(pattern.framework, program, behind)
    return line, match


def _fits(pattern: Sequence[str], words: Sequence[str]) -> int:
    """Return the index behind the pattern's last word; 0 where the pattern does not fit."""
    if not f"/{words[0]}".endswith(f"/{pattern[0]}"):
        return 0
    behind = 1
    for word in pattern[1:]:
        try:
            behind = words.index(word, behind) + 1
        except ValueError:
            return 0
    return behind
