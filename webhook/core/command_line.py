"""What a container's command line runs: behind interpreters, launchers and shells stands the program itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate

import msgspec

SHELLS = frozenset({"sh", "ash", "dash", "bash", "ksh", "mksh", "zsh"})
# A shell string longer than this is not read to its end: reading takes about 1 µs a character, and a worker's command
# comes early. The pod is treated as its beginning says.
LONGEST_SCRIPT = 8192

_VERSION = "0123456789."
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_RESERVED = frozenset({"if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "exec", "command"})
_LOOPS = frozenset({"while", "until", "for"})
# The tokens of a shell string. Not by shlex: its comments begin inside words, too, and swallow the end of the line.
_TOKEN = re.compile(
    r"""(?P<blank> (?: [ \t\r] | \\\n )+ | \#[^\n]* )
      | (?P<operator> [();<>|&\n]+ )
      | (?P<word> (?: [^ \t\r\n();<>|&'"\\] | \\. | '[^']*' | "(?:[^"\\]|\\.)*" )+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_QUOTED = re.compile(r"""\\(.)|'([^']*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_ESCAPED_IN_DOUBLE = re.compile(r"""\\(?:\n|([\\"$`]))""")


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


class Program(msgspec.Struct, frozen=True):
    """A program and its arguments; `start` is its index in the argv, None where it stands in a shell string."""

    words: Sequence[str]
    start: int | None


class CommandLine(msgspec.Struct, frozen=True):
    """The programs that an argv runs, and what is known of the shell string that they stand in, if any."""

    programs: tuple[Program, ...]
    in_shell: bool = False
    loops: bool = False


def basename(word: str) -> str:
    """Return what stands behind the last slash."""
    return word.rpartition("/")[2]


class Launchers:
    """Launchers by name: a hostile shell string asks for thousands of names."""

    def __init__(self, launchers: Sequence[Launcher]) -> None:
        names = [(name, launcher) for launcher in launchers for name in launcher.names]
        self._exact = {name: launcher for name, launcher in names if "*" not in name}
        self._globs = [(re.compile(translate(name)), launcher) for name, launcher in names if "*" in name]

    def find(self, word: str) -> Launcher | None:
        """Find the launcher that a word runs; a version behind its name is ignored."""
        name = basename(word)
        found = self._exact.get(name) or self._exact.get(name.rstrip(_VERSION))
        if found:
            return found
        for pattern, launcher in self._globs:
            if pattern.match(name):
                return launcher
        return None


def read_command_line(argv: Sequence[str], launchers: Launchers) -> CommandLine:
    """Find the programs that an argv runs."""
    start = _behind_launchers(argv, launchers)
    words = argv[start:]
    script = _shell_string(words)
    if script is None:
        return CommandLine((Program(words, start),) if words else ())
    programs: list[Program] = []
    loops = False
    for command in _simple_commands(script):
        behind = _behind_prefix(command)
        loops = loops or not _LOOPS.isdisjoint(command[: behind + 1])
        inner = read_command_line(command[behind:], launchers)
        programs.extend(Program(program.words, None) for program in inner.programs)
        loops = loops or inner.loops
    return CommandLine(tuple(programs), in_shell=True, loops=loops)


def _behind_launchers(argv: Sequence[str], launchers: Launchers) -> int:
    position = 0
    while position < len(argv):
        launcher = launchers.find(argv[position])
        if launcher is None:
            return position
        behind = _behind(launcher, argv, position + 1)
        if behind is None:
            return position
        position = behind
    return position


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
    position = 0
    words: list[str] = []
    while token := _TOKEN.match(script, position):
        position = token.end()
        if token["word"]:
            words.append(_QUOTED.sub(_unquoted, token["word"]))
        elif token["operator"] and words:
            yield words
            words = []
    if words:
        yield words


def _unquoted(quoted: re.Match[str]) -> str:
    escaped, single, double = quoted.groups()
    if double is not None:
        return _ESCAPED_IN_DOUBLE.sub(r"\1", double)
    return (escaped or "").replace("\n", "") or single or ""


def _behind_prefix(command: list[str]) -> int:
    """Return the index of the command itself, behind reserved words and assignments."""
    for position, word in enumerate(command):
        if word not in _RESERVED and not _ASSIGNMENT.match(word):
            return position
    return len(command)
