"""Parses a container's command line: finds the program behind interpreters, launchers and shells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate

import msgspec

SHELLS = frozenset({"sh", "ash", "dash", "bash", "ksh", "mksh", "zsh"})
# Longer shell scripts are not read to the end: reading takes about 1 µs per character, and the worker's command comes
# early. The decision is based on the beginning.
LONGEST_SCRIPT = 8192

_VERSION = "0123456789."
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
# What launchers accept as an assignment: env(1) sets names that no shell would, such as spring.profiles.active.
_LAUNCHERS_ASSIGNMENT = re.compile(r"[A-Za-z_][\w.-]*=", re.ASCII)
_RESERVED = frozenset({"if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "exec", "command"})
_LOOPS = frozenset({"while", "until", "for"})
_ENDLESS = (["while", "true"], ["while", ":"], ["until", "false"])
# Commands that may end an endless loop, or run when the shell exits.
_MAY_END = frozenset({"break", "exit", "return", "eval", "source", ".", "trap"})
# Commands that do not matter after a program: pauses, log output, and the ends of open blocks.
_IDLE = frozenset({"sleep", "wait", ":", "true", "false", "echo", "printf", "date", "test", "[", "[["})
_ENDS = frozenset({"done", "fi", "esac", "}"})
_ALL_ARGUMENTS = ("$@", "$*")
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


@dataclass(frozen=True, slots=True)
class Launcher:
    """A program that runs the command line after its own options.

    `word` must follow it (`bundle exec`), `values` are options that take a value, `positionals` counts its own
    arguments (`gosu USER`), `module` is the option that names the program (`python -m`), and `string` are options whose
    value is a shell script.

    Most launchers exec the command. One that `stays` remains its parent. If it `passes`, it forwards every signal to
    its only child, unless one of `passes_unless` is given, or only with one of `passes_if`. With one of `rewrites`, it
    forwards a different signal. One that `hides` the command takes the name of a script instead. `user` means that it
    changes the user.
    """

    names: tuple[str, ...]
    word: str = ""
    values: tuple[str, ...] = ()
    positionals: int = 0
    module: str = ""
    string: tuple[str, ...] = ()
    stays: bool = False
    passes: bool = False
    passes_unless: tuple[str, ...] = ()
    passes_if: tuple[str, ...] = ()
    rewrites: tuple[str, ...] = ()
    hides: bool = False
    user: bool = False
    prepares: bool = False


class Launch(msgspec.Struct, frozen=True):
    """A launcher in a command line, with its options: the words before the command that it runs."""

    launcher: Launcher
    words: Sequence[str]

    def _has(self, options: Sequence[str]) -> bool:
        return any(word.partition("=")[0] in options for word in self.words)

    @property
    def rewrites(self) -> bool:
        """Whether it is configured to forward a different signal than it receives."""
        return self._has(self.launcher.rewrites)

    @property
    def is_transparent(self) -> bool:
        """Whether a signal to the launcher reaches the command, and nothing else."""
        launcher = self.launcher
        if not launcher.stays or self.rewrites:
            return True
        if launcher.passes_if:
            return self._has(launcher.passes_if)
        return launcher.passes and not self._has(launcher.passes_unless)


class Program(msgspec.Struct, frozen=True):
    """A program and its arguments; `start` is its index in the argv, None if it is in a shell script.

    `launches` are the launchers in front of it, the outermost first. `is_first` means that process 1 becomes the
    program, or forwards its signals only to the program.
    """

    words: Sequence[str]
    start: int | None
    launches: tuple[Launch, ...] = ()
    is_first: bool = True
    in_loop: bool = False
    """Whether a loop in the shell script starts it again and again."""
    is_endless: bool = False
    """Whether that loop is endless, and no command that matters follows the program in it."""
    is_last: bool = True
    """Whether no command that matters follows it in its loop, or in the shell script if there is no loop."""

    @property
    def hidden(self) -> bool:
        """Whether a launcher hides the command, as `npm run NAME` does."""
        return any(launch.launcher.hides for launch in self.launches)


class CommandLine(msgspec.Struct, frozen=True):
    """The programs that an argv runs, and facts about the shell script that contains them, if any."""

    programs: tuple[Program, ...]
    in_shell: bool = False
    in_background: bool = False
    """Whether something runs in the background."""
    chain: tuple[str, ...] = ()
    """The stages of process 1: launchers and interpreters, up to the first that stays, or to the program."""

    @property
    def loops(self) -> bool:
        """Whether a loop restarts the worker, which is most likely the last command that the shell waits for."""
        hidden = [program for program in self.programs if program.hidden]
        return (hidden or self.programs)[-1].in_loop if self.programs else False

    @property
    def is_endless(self) -> bool:
        """Whether the loop that restarts the worker is endless, whichever of its programs the worker is."""
        return all(program.is_endless for program in self.programs if program.in_loop and not _is_idle(program.words))

    @property
    def hides(self) -> bool:
        """Whether a launcher hides one of the commands."""
        return any(program.hidden for program in self.programs)

    @property
    def is_shell(self) -> bool:
        """Whether process 1 remains the shell, which has no signal handlers by itself."""
        return (
            self.in_shell
            and basename(self.first) in SHELLS
            and not any(program.words[0] == "trap" for program in self.programs)
        )

    @property
    def launches(self) -> list[Launch]:
        """All launchers in the command line."""
        return [launch for program in self.programs for launch in program.launches]

    @property
    def first(self) -> str:
        """The final stage of process 1: the shell, the first launcher that stays, or the program itself."""
        return self.chain[-1] if self.chain else ""


def basename(word: str) -> str:
    """Return the part after the last slash."""
    return word.rpartition("/")[2]


class Launchers:
    """Launchers by name: a hostile shell script may contain thousands of names."""

    def __init__(self, launchers: Sequence[Launcher]) -> None:
        self._exact: dict[str, list[Launcher]] = {}
        for launcher in launchers:
            for name in launcher.names:
                if "*" not in name:
                    self._exact.setdefault(name, []).append(launcher)
        globs = [(name, launcher) for launcher in launchers for name in launcher.names if "*" in name]
        self._globs = [(re.compile(translate(name)), [launcher]) for name, launcher in globs]

    def find(self, word: str) -> Sequence[Launcher]:
        """Return the launchers that a word may run; a version suffix is ignored."""
        name = basename(word)
        found = self._exact.get(name) or self._exact.get(name.rstrip(_VERSION))
        if found:
            return found
        for pattern, launchers in self._globs:
            if pattern.match(name):
                return launchers
        return ()


def read_command_line(argv: Sequence[str], launchers: Launchers) -> CommandLine:
    """Find the programs that an argv runs."""
    return _Reader(launchers).read(argv, 0, (), is_first=True)


class _Reader:
    def __init__(self, launchers: Launchers) -> None:
        self._launchers = launchers
        self._strings = 0
        """The shell scripts being read, each nested in the one before."""

    def read(
        self, argv: Sequence[str], offset: int | None, launches: tuple[Launch, ...], *, is_first: bool
    ) -> CommandLine:
        """Read an argv that starts at an index of the whole one; None if it is in a shell script."""
        position = 0
        chain: list[str] = []
        found_launches = list(launches)
        has_stopped = False
        while position < len(argv):
            launch = self._launch(argv, position)
            if launch is None:
                break
            found_launches.append(launch)
            is_first = is_first and launch.is_transparent
            chain += [] if has_stopped else [argv[position]]
            has_stopped = has_stopped or launch.launcher.stays
            string = _string_of(launch)
            if string is not None:
                line = self._read_script(string, (), None, tuple(found_launches), is_first=is_first)
                return msgspec.structs.replace(line, chain=(*chain, *(() if has_stopped else line.chain)))
            position += len(launch.words)
        launches = tuple(found_launches)
        words = argv[position:]
        start = None if offset is None else offset + position
        found = _shell_string(words)
        if found is None:
            chain += [] if has_stopped else words[:1]
            return CommandLine((Program(words, start, launches, is_first),) if words else (), chain=tuple(chain))
        script, behind = found
        arguments = words[behind:]
        where = None if start is None else start + behind
        line = self._read_script(script, arguments, where, launches, is_first=is_first)
        # A shell that ends with `exec` is process 1 only until then.
        behind_shell = line.chain or tuple(words[:1])
        return msgspec.structs.replace(line, chain=(*chain, *(() if has_stopped else behind_shell)))

    def _launch(self, argv: Sequence[str], start: int) -> Launch | None:
        for launcher in self._launchers.find(argv[start]):
            behind = _behind(launcher, argv, start)
            if behind is not None:
                return Launch(launcher, argv[start:behind])
        return None

    def _read_script(
        self,
        script: str,
        arguments: Sequence[str],
        offset: int | None,
        launches: tuple[Launch, ...],
        *,
        is_first: bool,
    ) -> CommandLine:
        """Read a shell script; its arguments, for `"$@"`, start at an index of the argv."""
        programs: list[Program] = []
        chain: tuple[str, ...] = ()
        in_background = traps = False
        depth = 0
        commands = list(_simple_commands(script))
        # Commands that follow matter if a loop starts them again, in this script or in an enclosing one.
        counts = self._strings or any(command[-2:] in _ENDLESS for command, _ in commands)
        places = _places(commands) if counts else [_NOWHERE] * len(commands)
        self._strings += 1
        for place, (command, operator) in enumerate(commands):
            behind = _behind_prefix(command)
            depth += sum(word in _LOOPS for word in command[: behind + 1])
            in_background = in_background or operator == "&"
            words = command[behind:]
            # Process 1 becomes the shell's last command if nothing of the shell remains, not even a trap.
            traps = traps or words[:1] == ["trap"]
            is_last = place == len(commands) - 1 and not traps and not depth
            replaces = is_first and "exec" in command[:behind] and is_last
            if len(words) == 1 and words[0] in _ALL_ARGUMENTS:
                inner = self.read(arguments[1:], None if offset is None else offset + 1, launches, is_first=replaces)
            else:
                inner = self.read(words, None, launches, is_first=replaces)
            programs.extend(_placed(each, places[place], in_loop=depth > 0) for each in inner.programs)
            chain = inner.chain if replaces else ()
            in_background = in_background or inner.in_background
            depth -= depth > 0 and words[:1] == ["done"]
        self._strings -= 1
        return CommandLine(tuple(programs), in_shell=True, in_background=in_background, chain=chain)


@dataclass(slots=True)
class _Place:
    """The position of a command in a shell script."""

    is_endless: bool = False
    """Whether it is in an endless loop."""
    is_last: bool = True


_NOWHERE = _Place()


def _places(commands: Sequence[tuple[list[str], str]]) -> list[_Place]:
    """Determine for each command whether it is in an endless loop, and whether a command that matters follows it."""
    may_end = any(_MAY_END.intersection(command) for command, _ in commands)
    places = [_Place() for _ in commands]
    loops: list[bool] = []
    """For each open loop, whether it is endless."""
    closed: set[int] = set()
    """The commands that close an endless loop."""
    endless = 0
    for index, (command, operator) in enumerate(commands):
        behind = _behind_prefix(command)
        begun = sum(word in _LOOPS for word in command[: behind + 1])
        if begun:
            is_endless = command[-2:] in _ENDLESS and operator[:1] in (";", "") and not may_end
            loops += [*[False] * (begun - 1), is_endless]
            endless += is_endless
        places[index].is_endless = endless > 0
        if loops and command[behind : behind + 1] == ["done"] and loops.pop():
            endless -= 1
            closed.add(index)
    _look_behind(commands, places, closed)
    return places


def _look_behind(commands: Sequence[tuple[list[str], str]], places: list[_Place], closed: set[int]) -> None:
    """Go backwards through the commands and track, for each endless loop, whether commands or a `wait` follow."""
    behind = [[False, False]]
    for index in reversed(range(len(commands))):
        command, operator = commands[index]
        if index in closed:
            behind.append([False, False])
        if operator == "&":
            places[index].is_last = not behind[-1][1]
        elif operator in ("|", "|&") and index + 1 < len(commands):
            places[index].is_last = places[index + 1].is_last
        else:
            places[index].is_last = not behind[-1][0]
        words = command[_behind_prefix(command) :]
        if words[:1] == ["wait"]:
            behind[-1][1] = behind[-1][0]
        behind[-1][0] = behind[-1][0] or not _is_idle(words)
        if len(behind) > 1 and command[-2:] in _ENDLESS:
            counts, _ = behind.pop()
            behind[-1][0] = behind[-1][0] or counts


def _is_idle(words: Sequence[str]) -> bool:
    return not words or words[0] in _IDLE or words[0] in _ENDS


def _placed(program: Program, place: _Place, *, in_loop: bool) -> Program:
    is_last = program.is_last and place.is_last
    if not in_loop and is_last and not place.is_endless:
        return program
    return msgspec.structs.replace(
        program,
        in_loop=program.in_loop or in_loop,
        is_endless=program.is_endless or (place.is_endless and is_last),
        is_last=is_last,
    )


def _string_of(launch: Launch) -> str | None:
    """Return the shell script in the value of a launcher's option."""
    words = launch.words
    for position, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in launch.launcher.string:
            if equals:
                return value[:LONGEST_SCRIPT]
            return words[position + 1][:LONGEST_SCRIPT] if position + 1 < len(words) else None
    return None


def _behind(launcher: Launcher, argv: Sequence[str], start: int) -> int | None:
    """Return where the command starts that the launcher at an index runs; None if it runs none."""
    position = start + 1
    word = launcher.word
    positionals = launcher.positionals
    has_string = False
    script = 0
    while position < len(argv):
        argument = argv[position]
        if launcher.module and argument == launcher.module:
            return position + 1
        if argument == "--" and not word:
            position += 1
            continue
        if argument.startswith("-") or _LAUNCHERS_ASSIGNMENT.match(argument):
            takes_string = argument.partition("=")[0] in launcher.string
            has_string = has_string or takes_string
            position += 2 if argument in launcher.values or (takes_string and "=" not in argument) else 1
            continue
        if word:
            if argument != word:
                return None
            word = ""
            script = position
        elif positionals:
            positionals -= 1
        elif not has_string:
            return position
        position += 1
    if launcher.hides and script:
        # In `npm start`, the word itself is the name of a script.
        return script
    return min(position, len(argv)) if has_string else None


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


def _simple_commands(script: str) -> Iterator[tuple[list[str], str]]:
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


def _behind_prefix(command: list[str]) -> int:
    """Return the index of the command itself, after reserved words and assignments."""
    for position, word in enumerate(command):
        if word not in _RESERVED and not _ASSIGNMENT.match(word):
            return position
    return len(command)
