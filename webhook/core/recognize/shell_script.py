"""Splits a shell script into simple commands, and finds the loops around them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Longer shell scripts are not read to the end: reading takes about 1 µs per character, and the worker's command comes
# early. The decision is based on the beginning.
LONGEST_SCRIPT = 8192

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_RESERVED = frozenset({"if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "exec", "command"})
LOOP_KEYWORDS = frozenset({"while", "until", "for"})
ENDLESS_LOOPS = (["while", "true"], ["while", ":"], ["until", "false"])
# Commands that may end an endless loop, or run when the shell exits.
_MAY_END = frozenset({"break", "exit", "return", "eval", "source", ".", "trap"})
# Commands that do not matter after a program: pauses, log output, and the ends of open blocks.
_IDLE = frozenset({"sleep", "wait", ":", "true", "false", "echo", "printf", "date", "test", "[", "[["})
_ENDS = frozenset({"done", "fi", "esac", "}"})
# The tokens of a shell script. shlex is not used because its comments can start inside words and swallow the rest of
# the line.
_TOKEN = re.compile(
    r"""(?P<blank> (?: [ \t\r] | \\\n )+ | \#[^\n]* )
      | (?P<redirection> \d* (?: &>>? | <<<? | [<>]{1,2} \|? &? ) (?! \( ) )
      | (?P<operator> [();<>|&\n]+ )
      | (?P<word> (?: [^ \t\r\n();<>|&'"\\] | \\. | '[^']*' | "(?:[^"\\]|\\.)*" )+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_QUOTED = re.compile(r"""\\(.)|'([^']*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_ESCAPED_IN_DOUBLE = re.compile(r"""\\(?:\n|([\\"$`]))""")


@dataclass(slots=True)
class Position:
    """The position of a command in a shell script."""

    is_endless: bool = False
    """Whether it is in an endless loop."""
    is_last: bool = True
    """Whether no command that matters follows it."""


NO_POSITION = Position()


def find_positions(commands: Sequence[tuple[list[str], str]]) -> list[Position]:
    """Determine for each command whether it is in an endless loop, and whether a command that matters follows it."""
    may_end = any(_MAY_END.intersection(command) for command, _ in commands)
    positions = [Position() for _ in commands]
    loops: list[bool] = []
    """For each open loop, whether it is endless."""
    closed: set[int] = set()
    """The commands that close an endless loop."""
    endless = 0
    for index, (command, operator) in enumerate(commands):
        start = command_start(command)
        opened = sum(word in LOOP_KEYWORDS for word in command[: start + 1])
        if opened:
            is_endless = command[-2:] in ENDLESS_LOOPS and operator[:1] in (";", "") and not may_end
            loops += [*[False] * (opened - 1), is_endless]
            endless += is_endless
        positions[index].is_endless = endless > 0
        if loops and command[start : start + 1] == ["done"] and loops.pop():
            endless -= 1
            closed.add(index)
    _find_last_commands(commands, positions, closed)
    return positions


def _find_last_commands(commands: Sequence[tuple[list[str], str]], positions: list[Position], closed: set[int]) -> None:
    """Go backwards through the commands and track, for each endless loop, whether commands or a `wait` follow."""
    followed = [[False, False]]
    for index in reversed(range(len(commands))):
        command, operator = commands[index]
        if index in closed:
            followed.append([False, False])
        if operator == "&":
            positions[index].is_last = not followed[-1][1]
        elif operator in ("|", "|&") and index + 1 < len(commands):
            positions[index].is_last = positions[index + 1].is_last
        else:
            positions[index].is_last = not followed[-1][0]
        words = command[command_start(command) :]
        if words[:1] == ["wait"]:
            followed[-1][1] = followed[-1][0]
        followed[-1][0] = followed[-1][0] or not is_idle(words)
        if len(followed) > 1 and command[-2:] in ENDLESS_LOOPS:
            inner, _ = followed.pop()
            followed[-1][0] = followed[-1][0] or inner


def is_idle(words: Sequence[str]) -> bool:
    """Tell whether a command does not matter after a program."""
    return not words or words[0] in _IDLE or words[0] in _ENDS


def simple_commands(script: str) -> Iterator[tuple[list[str], str]]:
    """Split a shell script at its operators, and yield each command with the operator that follows it.

    If the quoting is broken, yield the part before it. Redirections are left out.
    """
    position = 0
    words: list[str] = []
    is_target = False
    while token := _TOKEN.match(script, position):
        position = token.end()
        if token["redirection"]:
            is_target = True
        elif token["word"]:
            if not is_target:
                words.append(_QUOTED.sub(_unquoted, token["word"]))
            is_target = False
        elif token["operator"] and words:
            yield words, token["operator"].strip()
            words = []
    if words:
        yield words, ""


def _unquoted(quoted: re.Match[str]) -> str:
    escaped, single, double = quoted.groups()
    if double is not None:
        return _ESCAPED_IN_DOUBLE.sub(r"\1", double)
    return (escaped or "").replace("\n", "") or single or ""


def command_start(command: list[str]) -> int:
    """Return the index of the command itself, after reserved words and assignments."""
    for position, word in enumerate(command):
        if word not in _RESERVED and not _ASSIGNMENT.match(word):
            return position
    return len(command)
