"""Recognises worker frameworks by their command line, with the table frameworks.toml."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

from webhook.core.annotations import Mode
from webhook.core.recognize.command_line import CommandLine, Program, read_command_line
from webhook.core.recognize.launchers import Launcher, Launchers, basename
from webhook.core.recognize.patterns import any_of
from webhook.core.tables import load_table

MOST_ARGUMENTS_SEARCHED = 64
"""How many words of an unknown command are searched for a known one: launchers have few words."""

_LONGEST_ARGV = 1024
"""Commands of more words are not read: their program is unknown."""
_LONGEST_MEMOIZED = 1000
"""Commands longer than this, in characters and words, are not memoized."""
_LONGEST_CACHED = 16 * 1024
"""Commands longer than this, in characters and words, are not even cached briefly."""
_NO_WORKER_OPTIONS = frozenset({"--version", "--help"})
"""Options that prevent a worker from starting, whatever else is given."""


class Flag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A flag that a worker needs in a mode: its spellings, the words to add if it is missing, and its maximum.

    If it `lowers`, a higher value is replaced; otherwise there is only a warning.
    """

    mode: Mode
    names: tuple[str, ...]
    add: tuple[str, ...]
    source: str
    most: int = 0
    lowers: bool = False

    def given_in(self, words: Sequence[str]) -> bool:
        """Tell whether a command line has the flag, as `--flag`, `--flag=value` or `-fVALUE`."""
        return option_value(words, self.names) is not None

    def value_in(self, words: Sequence[str]) -> int | None:
        """Return the flag's number in a command line; None if its value is not a number, but a variable."""
        value = option_value(words, self.names) or ""
        return int(value) if value.isdecimal() and len(value) < 20 else None


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A framework's own time limit after the signal: the options or the variable that set it, in units of seconds.

    `default` applies, in seconds, if nothing sets it; 0 means no limit.
    """

    source: str
    flags: tuple[str, ...] = ()
    env: str = ""
    default: float = 0
    unit: float = 1

    @property
    def switch(self) -> str:
        """The option or variable that sets it."""
        return self.flags[0] if self.flags else self.env


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A caution that depends on the manifest: on an option, or on a variable with a value that matches a pattern."""

    caution: Annotated[str, msgspec.Meta(max_length=80)]
    source: str
    flags: tuple[str, ...] = ()
    env: str = ""
    value: str = "*"

    def is_met_by(self, words: Sequence[str], variables: Mapping[str, str]) -> bool:
        """Tell whether a command line or its variables meet the condition."""
        values = (option_value(words, self.flags), variables.get(self.env))
        return any(value is not None and fnmatchcase(value, self.value) for value in values)


class Framework(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table; CONTRIBUTING.md explains the fields."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]+$")]
    title: str
    commands: tuple[str, ...]
    mode: Mode
    signal: str
    source: str
    why: str
    second_is_fatal: bool = False
    """Whether a second signal aborts work."""
    awaits_child: bool = False
    permanent_children: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()
    ends: bool = True
    """Whether any signal ends it without cutting its message off; if not, its pod keeps its grace period."""
    may_ignore: bool = False
    """Whether it may ignore the signal, for a reason that manifests do not show."""
    caution: Annotated[str, msgspec.Meta(max_length=80)] = ""
    note: str = ""
    flags: tuple[Flag, ...] = ()
    limits: tuple[Limit, ...] = ()
    conditions: tuple[Condition, ...] = ()


class Subcommands(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The position of a program's subcommand: after options, of which `values` take a value; with `tasks`, anywhere."""

    names: tuple[str, ...]
    values: tuple[str, ...] = ()
    tasks: bool = False


class Runtime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A caution for anything that a program runs, and whether the program `ends` on TERM at all."""

    names: tuple[str, ...]
    caution: Annotated[str, msgspec.Meta(max_length=80)]
    source: str
    ends: bool = True


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole table; the first row that matches a command line wins."""

    framework: tuple[Framework, ...]
    launcher: tuple[Launcher, ...]
    program: tuple[Subcommands, ...] = ()
    runtime: tuple[Runtime, ...] = ()


class Match(msgspec.Struct, frozen=True):
    """A framework found in a command line; `end` is the index after its last word in the program's words.

    `has_unknown_launcher` means that the program is unknown and the framework's command is one of its arguments.
    """

    framework: Framework
    program: Program
    end: int
    has_unknown_launcher: bool = False

    @property
    def children_at_work(self) -> int:
        """How many children the worker has while it processes a message; 0 if that is not significant."""
        if not self.framework.awaits_child:
            return 0
        return 1 + any(option in self.program.words for option in self.framework.permanent_children)


TABLE = load_table(__name__, "frameworks.toml", Table)
FRAMEWORKS = {framework.name: framework for framework in TABLE.framework}
VARIABLES = frozenset(
    {limit.env for row in TABLE.framework for limit in row.limits}
    | {condition.env for row in TABLE.framework for condition in row.conditions}
) - {""}
"""The environment variables that rows refer to; no others are read."""


class _Pattern(NamedTuple):
    """A framework's command as words, and the rank of its row in the table."""

    rank: int
    framework: Framework
    words: tuple[str, ...]
    unfit: re.Pattern[str] | None


def _patterns_by_name(table: Table) -> dict[str, list[_Pattern]]:
    """Index patterns by the name of their program: a hostile shell script may run thousands of commands."""
    patterns: dict[str, list[_Pattern]] = {}
    for rank, framework in enumerate(table.framework):
        unfit = any_of(framework.unfit) if framework.unfit else None
        for command in framework.commands:
            words = tuple(command.split())
            patterns.setdefault(basename(words[0]), []).append(_Pattern(rank, framework, words, unfit))
    return patterns


_PATTERNS = _patterns_by_name(TABLE)
_LAUNCHERS = Launchers(TABLE.launcher)
_SUBCOMMANDS = {name: subcommands for subcommands in TABLE.program for name in subcommands.names}
_NO_SUBCOMMANDS = Subcommands(())
_RUNTIMES = {name: runtime for runtime in TABLE.runtime for name in runtime.names}


Recognized: TypeAlias = tuple[CommandLine, Match | None]
"""A command line and the framework that it runs, if known."""


def find_framework(argv: Sequence[str]) -> Recognized:
    """Read an argv, and find the framework whose worker it runs.

    A cluster has few different commands in many pods, so commands of usual length are memoized.
    """
    words = tuple(argv)
    size = sum(map(len, words)) + len(words)
    if size > _LONGEST_MEMOIZED:
        # The commands of one pod are needed three times; there is room for few others, and only for a few KiB.
        return _find_long(words) if size < _LONGEST_CACHED else _find_framework(words)
    return _find_memoized(words)


def _find_framework(argv: tuple[str, ...]) -> Recognized:
    if len(argv) > _LONGEST_ARGV:
        return CommandLine((Program(argv, 0),), exec_chain=argv[:1]), None
    line = read_command_line(argv, _LAUNCHERS)
    found = [best for program in line.programs if (best := _first_match(program))]
    if not found:
        found = [best for program in line.programs if (best := _first_match_after_launcher(program))]
    return line, min(found, key=lambda item: item[0])[1] if found else None


_find_memoized = lru_cache(512)(_find_framework)
_find_long = lru_cache(32)(_find_framework)


def runtime_of(line: CommandLine) -> Runtime | None:
    """Return the cautions about the program that a command line runs."""
    return next((found for program in line.programs if (found := _RUNTIMES.get(basename(program.words[0])))), None)


def _first_match(program: Program, index: int = 0) -> tuple[int, Match] | None:
    """Return the first row that matches a program's words from an index on, and its rank."""
    words = program.words[index:] if index else program.words
    for pattern in _PATTERNS.get(basename(words[0]), ()):
        if index and len(pattern.words) < 2:
            continue
        end = _match_end(pattern, words)
        if end and _NO_WORKER_OPTIONS.isdisjoint(words):
            return pattern.rank, Match(pattern.framework, program, index + end, has_unknown_launcher=bool(index))
    return None


def _first_match_after_launcher(program: Program) -> tuple[int, Match] | None:
    if program.is_hidden:
        return None
    indexes = range(1, min(len(program.words), MOST_ARGUMENTS_SEARCHED))
    return next((best for index in indexes if (best := _first_match(program, index))), None)


def _match_end(pattern: _Pattern, words: Sequence[str]) -> int:
    """Return the index after the pattern's last word; 0 if the pattern does not match."""
    if not f"/{words[0]}".endswith(f"/{pattern.words[0]}"):
        return 0
    subcommands = _SUBCOMMANDS.get(basename(words[0]), _NO_SUBCOMMANDS)
    end = index = 1
    for word in pattern.words[1:]:
        index = _end_of_word(word, words, index, subcommands)
        if not index:
            return 0
        end = max(end, index)
    if pattern.unfit and any(pattern.unfit.match(argument) for argument in words[end:]):
        return 0
    return end


def _end_of_word(wanted: str, words: Sequence[str], index: int, subcommands: Subcommands) -> int:
    """Return the index after a word of a pattern; 0 if it is missing. Options may be anywhere."""
    if wanted.startswith("-") or subcommands.tasks:
        return words.index(wanted, index) + 1 if wanted in words[index:] else 0
    while index < len(words):
        word = words[index]
        if not word.startswith("-"):
            return index + 1 if word == wanted else 0
        index += 2 if word in subcommands.values else 1
    return 0


def option_value(words: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the value of an option in a command line: empty if it has none, None if the option is missing."""
    index = option_index(words, names)
    if index is None:
        return None
    word = words[index]
    name = next(name for name in names if _is_option(word, (name,)))
    if word == name:
        return words[index + 1] if index + 1 < len(words) else ""
    return word.removeprefix(name).removeprefix("=")


def option_index(words: Sequence[str], names: Sequence[str]) -> int | None:
    """Return the index of an option in a command line, of its last one, which counts; None if it is missing."""
    return next((index for index in reversed(range(len(words))) if _is_option(words[index], names)), None)


def _is_option(word: str, names: Sequence[str]) -> bool:
    """Tell whether a word is one of the options, as `--flag`, `--flag=value` or `-fVALUE`."""
    return any(word.startswith(name) and (len(name) == 2 or word[len(name) :][:1] in ("", "=")) for name in names)
