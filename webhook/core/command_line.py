"""What a container's command line runs: behind interpreters, launchers and shells stands the program itself."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

SHELLS = frozenset({"sh", "ash", "dash", "bash", "ksh", "mksh", "zsh"})
# A shell string longer than this is not read to its end: reading takes about 1 µs a character, and a worker's command
# comes early. The pod is treated as its beginning says.
LONGEST_SCRIPT = 8192

_VERSION = re.compile(r"[\d.]+$", re.ASCII)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_RESERVED = frozenset({"if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "exec", "command"})
_LOOPS = frozenset({"while", "until", "for"})
_OPERATORS = "();<>|&\n"


@dataclass(frozen=True, slots=True)
class Launcher:
    """A program that runs the command line behind its own options.

    `word` must follow it (`bundle exec`), `values` are its options that take a value, `positionals` counts its own
    arguments (`gosu USER`), `module` is the option that names the program itself (`python -m`).
    """

    names: tuple[str, ...]
    word: str = ""
    values: tuple[str, ...] = ()
    positionals: int = 0
    module: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """A program and its arguments; `start` is its index in the argv, None where it stands in a shell string."""

    words: Sequence[str]
    start: int | None


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The programs that an argv runs, and what is known of the shell string that they stand in, if any."""

    programs: tuple[Program, ...]
    in_shell: bool = False
    loops: bool = False


def basename(word: str) -> str:
    """Return what stands behind the last slash."""
    return word.rpartition("/")[2]


def read_command_line(argv: Sequence[str], launchers: Sequence[Launcher]) -> CommandLine:
    """Find the programs that an argv runs."""
    start = _behind_launchers(argv, launchers)
    words = argv[start:]
    script = _shell_string(words)
    if script is None:
        return CommandLine((Program(words, start),) if words else ())
    programs: list[Program] = []
    loops = False
    for command in _simple_commands(script):
        loops = loops or command[0] in _LOOPS
        inner = read_command_line(_without_prefix(command), launchers)
        programs.extend(Program(program.words, None) for program in inner.programs)
        loops = loops or inner.loops
    return CommandLine(tuple(programs), in_shell=True, loops=loops)


def _behind_launchers(argv: Sequence[str], launchers: Sequence[Launcher]) -> int:
    position = 0
    while position < len(argv):
        launcher = _launcher(argv[position], launchers)
        if launcher is None:
            return position
        behind = _behind(launcher, argv, position + 1)
        if behind is None:
            return position
        position = behind
    return position


def _launcher(word: str, launchers: Sequence[Launcher]) -> Launcher | None:
    name = basename(word)
    bare = _VERSION.sub("", name)
    for launcher in launchers:
        if any(fnmatchcase(name, known) or bare == known for known in launcher.names):
            return launcher
    return None


def _behind(launcher: Launcher, argv: Sequence[str], position: int) -> int | None:
    """Return where the launched command begins; None when this is no launching."""
    word = launcher.word
    positionals = launcher.positionals
    while position < len(argv):
        argument = argv[position]
        if launcher.module and argument == launcher.module:
            return position + 1
        if argument == "--" and not word:
            position += 1
            continue
        if argument.startswith("-") or _ASSIGNMENT.match(argument):
            position += 2 if argument in launcher.values else 1
            continue
        if word:
            if argument != word:
                return None
            word = ""
        elif positionals:
            positionals -= 1
        else:
            return position
        position += 1
    return None


def _shell_string(words: Sequence[str]) -> str | None:
    """Return the string behind a shell's -c, if this is one."""
    if not words or basename(words[0]) not in SHELLS:
        return None
    wanted = False
    arguments = iter(words[1:])
    for argument in arguments:
        if argument.startswith(("-", "+")) and len(argument) > 1:
            if argument.startswith("--"):
                continue
            wanted = wanted or "c" in argument
            if argument.endswith("o"):
                next(arguments, None)
            continue
        return argument[:LONGEST_SCRIPT] if wanted else None
    return None


def _simple_commands(script: str) -> Iterator[list[str]]:
    """Split a shell string at its operators; one that is not well quoted yields what stands before the flaw."""
    lexer = shlex.shlex(script.replace("\\\n", " "), posix=True, punctuation_chars=_OPERATORS)
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    words: list[str] = []
    while True:
        try:
            word = lexer.get_token()
        except ValueError:
            return
        if word and not all(character in _OPERATORS for character in word):
            words.append(word)
            continue
        if words:
            yield words
            words = []
        if word is None:
            return


def _without_prefix(command: list[str]) -> list[str]:
    """Leave out reserved words and assignments before the command itself."""
    for position, word in enumerate(command):
        if word not in _RESERVED and not _ASSIGNMENT.match(word):
            return command[position:]
    return []
