"""Parses a container's command line: finds the program behind interpreters, launchers and shells."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from webhook.core.recognize.launchers import Launch, Launchers, basename
from webhook.core.recognize.shell_script import (
    ENDLESS_LOOPS,
    LONGEST_SCRIPT,
    LOOP_KEYWORDS,
    NO_POSITION,
    Position,
    command_start,
    find_positions,
    is_idle,
    simple_commands,
)

_DEEPEST = 16
"""How many shell scripts may be nested."""
_MOST_WORK = 32 * 1024
"""How many characters of scripts are read for one command line, those that are run again with `"$@"` included."""
_WORK_PER_SCRIPT = 64
"""What a script of no length costs, in characters."""
SHELLS = frozenset({"sh", "ash", "dash", "bash", "ksh", "mksh", "zsh"})
_ALL_ARGUMENTS = ("$@", "$*")


class Program(msgspec.Struct, frozen=True):
    """A program and its arguments; `start` is its index in the argv, None if it is in a shell script.

    `launches` are the launchers in front of it, the outermost first. `is_process_1` means that process 1 becomes the
    program, or forwards its signals only to the program.
    """

    words: Sequence[str]
    start: int | None
    launches: tuple[Launch, ...] = ()
    is_process_1: bool = True
    in_loop: bool = False
    """Whether a loop in the shell script starts it again and again."""
    is_endless: bool = False
    """Whether that loop is endless, and no command that matters follows the program in it."""
    is_last: bool = True
    """Whether no command that matters follows it in its loop, or in the shell script if there is no loop."""

    @property
    def is_hidden(self) -> bool:
        """Whether a launcher hides the command, as `npm run NAME` does."""
        return any(launch.launcher.hides for launch in self.launches)


class CommandLine(msgspec.Struct, frozen=True):
    """The programs that an argv runs, and facts about the shell script that contains them, if any."""

    programs: tuple[Program, ...]
    in_shell: bool = False
    in_background: bool = False
    """Whether something runs in the background."""
    exec_chain: tuple[str, ...] = ()
    """The stages of process 1: launchers and interpreters, up to the first that stays, or to the program."""

    @property
    def has_loop(self) -> bool:
        """Whether a loop restarts the worker, which is most likely the last command that the shell waits for."""
        hidden = [program for program in self.programs if program.is_hidden]
        return (hidden or self.programs)[-1].in_loop if self.programs else False

    @property
    def is_endless(self) -> bool:
        """Whether the loop that restarts the worker is endless, whichever of its programs the worker is."""
        return all(program.is_endless for program in self.programs if program.in_loop and not is_idle(program.words))

    @property
    def has_hidden_program(self) -> bool:
        """Whether a launcher hides one of the commands."""
        return any(program.is_hidden for program in self.programs)

    @property
    def is_shell(self) -> bool:
        """Whether process 1 remains the shell, which has no signal handlers by itself."""
        return (
            self.in_shell
            and basename(self.process_1) in SHELLS
            and not any(program.words[0] == "trap" for program in self.programs)
        )

    @property
    def launches(self) -> list[Launch]:
        """All launchers in the command line."""
        return [launch for program in self.programs for launch in program.launches]

    @property
    def process_1(self) -> str:
        """The final stage of process 1: the shell, the first launcher that stays, or the program itself."""
        return self.exec_chain[-1] if self.exec_chain else ""


def read_command_line(argv: Sequence[str], launchers: Launchers) -> CommandLine:
    """Find the programs that an argv runs.

    A shell that runs its arguments more than once (`"$@"; "$@"`), nested, would run them exponentially often. So beyond
    a limit, a shell's script is not read: the shell is the program.
    """
    return _Reader(launchers).read(argv, 0, (), is_process_1=True)


class _Reader:
    def __init__(self, launchers: Launchers) -> None:
        self._launchers = launchers
        self._depth = 0
        """How many shell scripts are being read, each nested in the one before."""
        self._work = _MOST_WORK
        """How many characters may still be read."""

    def read(
        self, argv: Sequence[str], offset: int | None, launches: tuple[Launch, ...], *, is_process_1: bool
    ) -> CommandLine:
        """Read an argv that starts at an index of the whole one; None if it is in a shell script."""
        position = 0
        exec_chain: list[str] = []
        found_launches = list(launches)
        has_stopped = False
        while position < len(argv):
            launch = self._launchers.launch(argv, position)
            if launch is None:
                break
            found_launches.append(launch)
            is_process_1 = is_process_1 and launch.is_transparent
            exec_chain += [] if has_stopped else [argv[position]]
            has_stopped = has_stopped or launch.launcher.stays
            script = launch.script
            if script is not None and self._may_read(script, ()):
                line = self._read_script(
                    script[:LONGEST_SCRIPT], (), None, tuple(found_launches), is_process_1=is_process_1
                )
                return msgspec.structs.replace(
                    line, exec_chain=(*exec_chain, *(() if has_stopped else line.exec_chain))
                )
            position += len(launch.words)
        launches = tuple(found_launches)
        words = argv[position:]
        start = None if offset is None else offset + position
        found = _shell_string(words)
        if found is None or not self._may_read(found[0], words[found[1] :]):
            exec_chain += [] if has_stopped else words[:1]
            return CommandLine(
                (Program(words, start, launches, is_process_1),) if words else (), exec_chain=tuple(exec_chain)
            )
        script, end = found
        arguments = words[end:]
        arguments_start = None if start is None else start + end
        line = self._read_script(script, arguments, arguments_start, launches, is_process_1=is_process_1)
        # A shell that ends with `exec` is process 1 only until then.
        shell_chain = line.exec_chain or tuple(words[:1])
        return msgspec.structs.replace(line, exec_chain=(*exec_chain, *(() if has_stopped else shell_chain)))

    def _may_read(self, script: str, arguments: Sequence[str]) -> bool:
        """Tell whether a script is within the limits, and count it."""
        runs_arguments = script.count("$@") + script.count("$*")
        self._work -= min(len(script), LONGEST_SCRIPT) + runs_arguments * len(arguments) + _WORK_PER_SCRIPT
        return self._work >= 0 and self._depth < _DEEPEST

    def _read_script(
        self,
        script: str,
        arguments: Sequence[str],
        offset: int | None,
        launches: tuple[Launch, ...],
        *,
        is_process_1: bool,
    ) -> CommandLine:
        """Read a shell script; its arguments, for `"$@"`, start at an index of the argv."""
        programs: list[Program] = []
        exec_chain: tuple[str, ...] = ()
        in_background = traps = False
        depth = 0
        commands = list(simple_commands(script))
        # Commands that follow matter if a loop starts them again, in this script or in an enclosing one.
        matters = self._depth or any(command[-2:] in ENDLESS_LOOPS for command, _ in commands)
        positions = find_positions(commands) if matters else [NO_POSITION] * len(commands)
        self._depth += 1
        for index, (command, operator) in enumerate(commands):
            start = command_start(command)
            depth += sum(word in LOOP_KEYWORDS for word in command[: start + 1])
            in_background = in_background or operator == "&"
            words = command[start:]
            # Process 1 becomes the shell's last command if nothing of the shell remains, not even a trap.
            traps = traps or words[:1] == ["trap"]
            is_last = index == len(commands) - 1 and not traps and not depth
            replaces = is_process_1 and "exec" in command[:start] and is_last
            if len(words) == 1 and words[0] in _ALL_ARGUMENTS:
                after_name = None if offset is None else offset + 1
                inner = self.read(arguments[1:], after_name, launches, is_process_1=replaces)
            else:
                inner = self.read(words, None, launches, is_process_1=replaces)
            programs.extend(_at_position(program, positions[index], in_loop=depth > 0) for program in inner.programs)
            exec_chain = inner.exec_chain if replaces else ()
            in_background = in_background or inner.in_background
            depth -= depth > 0 and words[:1] == ["done"]
        self._depth -= 1
        return CommandLine(tuple(programs), in_shell=True, in_background=in_background, exec_chain=exec_chain)


def _at_position(program: Program, position: Position, *, in_loop: bool) -> Program:
    is_last = program.is_last and position.is_last
    if not in_loop and is_last and not position.is_endless:
        return program
    return msgspec.structs.replace(
        program,
        in_loop=program.in_loop or in_loop,
        is_endless=program.is_endless or (position.is_endless and is_last),
        is_last=is_last,
    )


def _shell_string(words: Sequence[str]) -> tuple[str, int] | None:
    """Return the script after a shell's -c, and where its arguments start, if there is one."""
    if not words or basename(words[0]) not in SHELLS:
        return None
    wanted = False
    position = 1
    while position < len(words):
        argument = words[position]
        position += 1
        if argument.startswith(("-", "+")) and len(argument) > 1:
            if argument.startswith("--"):
                continue
            wanted = wanted or "c" in argument
            position += argument.endswith("o")
            continue
        return (argument[:LONGEST_SCRIPT], position) if wanted else None
    return None
