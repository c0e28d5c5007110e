"""Launchers: programs that run the command line after their own options, such as `env` and `bundle exec`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate

import msgspec

_VERSION = "0123456789."
# What launchers accept as an assignment: env(1) sets names that no shell would, such as spring.profiles.active.
_LAUNCHERS_ASSIGNMENT = re.compile(r"[A-Za-z_][\w.-]*=", re.ASCII)


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

    def loses_signal(self, number: int) -> bool:
        """Tell whether it rewrites signals, but none to the one with this number."""
        return self.rewrites and not any(word.endswith(f":{number}") for word in self.words)

    @property
    def is_transparent(self) -> bool:
        """Whether a signal to the launcher reaches the command, and nothing else."""
        launcher = self.launcher
        if not launcher.stays or self.rewrites:
            return True
        if launcher.passes_if:
            return self._has(launcher.passes_if)
        return launcher.passes and not self._has(launcher.passes_unless)

    @property
    def script(self) -> str | None:
        """The shell script in the value of one of its options."""
        for position, word in enumerate(self.words):
            option, equals, value = word.partition("=")
            if option in self.launcher.string:
                return value if equals else next(iter(self.words[position + 1 :]), None)
        return None


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
        return found or next((launchers for pattern, launchers in self._globs if pattern.match(name)), ())

    def launch(self, argv: Sequence[str], start: int) -> Launch | None:
        """Return the launcher at an index, with its options; None if the word there launches nothing."""
        for launcher in self.find(argv[start]):
            end = _command_start(launcher, argv, start)
            if end is not None:
                return Launch(launcher, argv[start:end])
        return None


def _command_start(launcher: Launcher, argv: Sequence[str], start: int) -> int | None:
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
