"""Facts about programs as process 1, and about words in container names, from the table processes.toml."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from webhook.core.recognize.image_names import split_image_name
from webhook.core.recognize.launchers import basename
from webhook.core.recognize.patterns import NamePatterns, any_of
from webhook.core.tables import load_table


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole table."""

    must_be_process_1: tuple[str, ...]
    suggests_init: tuple[str, ...]
    runs_anywhere: tuple[str, ...]
    may_ignore_signals: tuple[str, ...]
    may_die_of_term: tuple[str, ...]
    opaque_runtime_classes: tuple[str, ...]
    suggests_worker: tuple[str, ...]
    suggests_assistant: tuple[str, ...]


TABLE = load_table(__name__, "processes.toml", Table)
_MUST_BE_PROCESS_1 = frozenset(TABLE.must_be_process_1)
_SUGGESTS_INIT = frozenset(TABLE.suggests_init)
_ANYWHERE = frozenset(TABLE.runs_anywhere)
_MAY_IGNORE_SIGNALS = NamePatterns.of(TABLE.may_ignore_signals + TABLE.may_die_of_term)
_MAY_DIE_OF_TERM = NamePatterns.of(TABLE.may_die_of_term)
_OPAQUE = any_of(TABLE.opaque_runtime_classes)
_SUGGESTS_WORKER = frozenset(TABLE.suggests_worker)
_SUGGESTS_ASSISTANT = frozenset(TABLE.suggests_assistant)
_WORD = re.compile(r"[^a-z0-9]+")
_MOST_WORDS = 64
"""How many words of a hook's or probe's command are read."""
_LONGEST_TEXT = 32 * 1024
"""How many characters of it are read: a pattern takes some hundredths of a microsecond for each."""
# `kill -QUIT 1`, `kill -s SIGUSR2 1`, `kill 1`; not `kill -0 1`. Possessive, here and below: a thousand spaces would
# otherwise be divided among two quantifiers in a thousand ways.
_KILL = re.compile(
    r"\bkill\s++(?:-s\s*+|-n\s*+|-)?(?:SIG)?"
    r"(TERM|INT|QUIT|HUP|USR1|USR2|TSTP|WINCH|15|2|3|1|10|12|20|28)?\s*+(?:--\s++)?1\b"
)
_NUMBERS = {"15": "TERM", "2": "INT", "3": "QUIT", "1": "HUP", "10": "USR1", "12": "USR2", "20": "TSTP", "28": "WINCH"}
# `kill 0`, `kill -TERM 0`, `kill -- -$$`; not `kill -0 1`.
_KILL_GROUP = re.compile(
    r"\bkill\b(?:\s+-[A-Za-z0-9]+|\s+[A-Z]+[12]?)*\s+(?:--\s+)?[\"']?(?:0|-\$\$|-\$\{?BASHPID)(?![\w.])"
)
# `pkill -f worker`; `kill -TERM -1`, which spares process 1 alone, unlike `kill -1 1`; `kill $(cat
# /proc/1/task/1/children)`.
_KILL_OTHERS = re.compile(r"\b(?:pkill|killall)\b|\bkill\s++(?:-s\s*+\w++|-\w++|--)\s++(?:--\s++)?-1\b|/proc/1/task")
# Words that follow each other within one command: `kill $(pgrep worker)`, `ps | grep worker | xargs kill`. Two
# patterns each, because one with `[^;&|]*` in between is quadratic.
_FIND_AND_KILL = (
    (re.compile(r"\bkill\b"), re.compile(r"(?:\$\(|`)\s*+(?:pgrep|pidof|ps)\b")),
    (re.compile(r"\bxargs\b"), re.compile(r"\bkill\b")),
)
_PROCESS_1 = re.compile(r"/proc/1(?:/|\b)")
_CHECK_PROCESS_1 = (
    (re.compile(r"\bkill\b"), re.compile(r"\s1\b")),
    (re.compile(r"\bp(?:id|grep|kill|s)\b"), re.compile(r"\s(?:-[a-zA-Z]++\s*+)?1\b")),
)
_COMMAND_END = re.compile(r"[;&|]")


def must_be_process_1(argv: Sequence[str]) -> bool:
    """Tell whether a command's program must be process 1."""
    if not argv:
        return False
    name = basename(argv[0])
    if argv[0] in _MUST_BE_PROCESS_1 or name in _MUST_BE_PROCESS_1:
        return True
    return name not in _ANYWHERE and not _SUGGESTS_INIT.isdisjoint(_WORD.split(name.lower()))


def find_program_without_handlers(chain: Sequence[str]) -> str:
    """Return the stage of process 1 that handles no signals by default, if any."""
    return next((name for name in map(basename, chain) if name in _MAY_IGNORE_SIGNALS), "")


def may_die_of_term(chain: Sequence[str]) -> bool:
    """Tell whether a stage of process 1 catches TERM but may still die from it."""
    return any(basename(name) in _MAY_DIE_OF_TERM for name in chain)


def hides_signal_masks(runtime_class: str) -> bool:
    """Tell whether a runtime class is a sandbox that hides which signals a process catches."""
    return _OPAQUE.match(runtime_class.lower()) is not None


def suggests_worker(container: str, image: str) -> bool:
    """Tell whether the name of a container, or of its image, suggests a worker."""
    words = set(_WORD.split(container))
    if words & _SUGGESTS_ASSISTANT:
        return False
    if words & _SUGGESTS_WORKER:
        return True
    words = set(_WORD.split(basename(split_image_name(image).repository).lower()))
    return bool(words & _SUGGESTS_WORKER) and not words & _SUGGESTS_ASSISTANT


def signal_to_process_1(command: Sequence[str]) -> str:
    """Return the name of the signal that a hook's command sends to process 1; empty if it sends none."""
    joined = _join(command)
    if "kill" not in joined:
        return ""
    for text in (joined, *command[:_MOST_WORDS]):
        found = _KILL.search(text, 0, _LONGEST_TEXT)
        if found:
            name = found[1] or "TERM"
            return _NUMBERS.get(name, name)
    return ""


def signals_its_group(argv: Sequence[str]) -> bool:
    """Tell whether a shell script signals its own process group, which the shell survives only as process 1."""
    text = _join(argv)
    return "kill" in text and _KILL_GROUP.search(text) is not None


def signals_others(command: Sequence[str]) -> bool:
    """Tell whether a hook signals processes by their command line, all processes, or children of process 1.

    A shell survives that only as process 1, and the worker must be a direct child of process 1.
    """
    text = _join(command)
    return "kill" in text and (_KILL_OTHERS.search(text) is not None or _has_words(text, _FIND_AND_KILL))


def checks_process_1(command: Sequence[str]) -> bool:
    """Tell whether a probe's command checks process 1, which must then stay unchanged."""
    text = _join(command)
    return "1" in text and (_PROCESS_1.search(text) is not None or _has_words(text, _CHECK_PROCESS_1))


def _join(words: Sequence[str]) -> str:
    """Return the beginning of a command as text."""
    return " ".join([word[:_LONGEST_TEXT] for word in words[:_MOST_WORDS]])[:_LONGEST_TEXT]


def _has_words(text: str, pairs: Sequence[tuple[re.Pattern[str], re.Pattern[str]]]) -> bool:
    """Tell whether a command in the text matches both patterns of a pair, one after the other."""
    return any(
        (found := first.search(command)) and then.search(command, found.end())
        for command in _COMMAND_END.split(text)
        for first, then in pairs
    )
