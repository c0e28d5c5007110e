"""Every command line is parsed, fast, and can be restored."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.core.recognize.command_line import SHELLS
from webhook.core.recognize.frameworks import TABLE, find_framework
from webhook.core.recognize.variables import expand_known, referenced_in
from webhook.core.scripts import keep_from_expansion
from webhook.core.wrapper import is_wrapped, loop, sidecar_hook, worker_hook, wrap, wrapped_command

from .pods import argvs, plain_argvs

SIZE = 100_000
TIME_LIMIT = 0.05 if sys.gettrace() is None else 0.5
"""Seconds, with reserve for a run that measures coverage."""

_SCRIPT_PIECES = st.sampled_from(
    [*"'\"\\$`();<>|&# \n\t{}=!*~", "&&", "$(", "while ", "do ", "exec ", "sh -c ", "celery ", "worker", "A=1 ", "é"]
)
scripts = st.lists(_SCRIPT_PIECES, max_size=30).map("".join)
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.text(), max_size=6) | argvs | scripts.map(lambda script: ["sh", "-c", script]))
def test_any_argv_is_parsed(argv: list[str]) -> None:
    line, match = find_framework(argv)
    assert all(program.words for program in line.programs)
    if match is not None and match.program.start is not None:
        assert argv[match.program.start :] == list(match.program.words)
        assert 0 < match.end <= len(match.program.words)


@given(st.sampled_from(["9" * 5000, "٣", "²", "-1", "1e9", "0x1", "$(LIMIT)", ""]) | st.text(max_size=5))
def test_any_value_of_a_flag_is_parsed(value: str) -> None:
    for framework in TABLE.framework:
        for flag in framework.flags:
            for words in ([flag.names[0], value], [f"{flag.names[0]}={value}"]):
                assert flag.given_in(words)
                number = flag.value_in(words)
                assert number is None or number >= 0


HOSTILE: dict[str, Callable[[], list[str]]] = {
    **{
        f"shell string of {piece!r}": lambda piece=piece: ["sh", "-c", (piece * SIZE)[:SIZE]]  # type: ignore[misc]
        for piece in ["'", '"', "\\", "(", ")", "'\"", '"\\', "$(", "`", "#", "a;", ";\n", "env ", "A=1 ", "sh -c a;"]
    },
    "long word": lambda: ["a" * SIZE],
    "long version": lambda: ["python" + "1." * (SIZE // 2) + "x"],
    "long path": lambda: ["/" * SIZE],
    "long path to an entrypoint": lambda: ["a/" * (SIZE // 2) + "docker-entrypoint.s"],
    "many words": lambda: ["celery", *["-A"] * SIZE],
    "many quotes": lambda: ["sh", "-c", *["'"] * SIZE],
    "many assignments": lambda: ["env", *["A=1"] * (SIZE // 10)],
    "many launchers": lambda: ["env"] * (SIZE // 10),
    "many references to a variable": lambda: ["$(A)"] * (SIZE // 10),
    "shell strings of references": lambda: ["sh", "-c", "$(A)" * 64] * 64,
    "references without an end": lambda: ["$(" * SIZE, "$(A" * SIZE],
}


@pytest.mark.parametrize("argv", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_command_lines_are_parsed_fast(argv: Callable[[], list[str]]) -> None:
    hostile = argv()
    # The CPU time of this process, and the best of five runs, because other processes may use the machine.
    assert min(_seconds(hostile) for _ in range(5)) < TIME_LIMIT


def _seconds(argv: list[str]) -> float:
    started = time.process_time()
    referenced_in(argv)
    find_framework(expand_known(argv, {"A": "a;" * 128}))
    return time.process_time() - started


@given(st.sampled_from(sorted(SHELLS)), st.lists(words, min_size=1, max_size=4).filter(lambda command: command[0]))
def test_quoted_words_are_parsed_as_the_shell_parses_them(shell: str, command: list[str]) -> None:
    known = ["celery", "worker", *command]
    for script in (
        shlex.join(known),
        f"cd /app && {shlex.join(known)}",
        f"X=1 exec {shlex.join(known)} # it's",
        f"# it's\n{shlex.join(known)}",
        f"(\n{shlex.join(known)}\n) >/dev/null 2>&1",
    ):
        line, match = find_framework([shell, "-c", script])
        assert line.in_shell
        assert match is not None
        assert match.program.words == known
        assert match.program.start is None


@given(argvs)
def test_a_command_after_launchers_is_the_same_command(argv: list[str]) -> None:
    _, match = find_framework(argv)
    for launcher in (["tini", "-g", "--"], ["env", "-u", "X", "Y=1"], ["gosu", "app"], ["/docker-entrypoint.sh"]):
        _, behind = find_framework([*launcher, *argv])
        assert (behind and behind.framework) == (match and match.framework)


@given(argvs, plain_argvs | st.just(["/vault/vault-env"]))
def test_the_original_argv_is_recovered_from_a_wrapped_one(argv: list[str], tool: list[str]) -> None:
    first, later = (loop("/bin/sh", "worker", delay, "TERM", "/dev/termination-log") for delay in (0, 1))
    wrapped = wrap(argv, first)
    assert wrapped_command(wrapped) == argv
    assert wrapped_command([*tool, *wrapped]) == argv
    assert wrap([*tool, *wrapped], later) == [*tool, *later, *argv]
    assert not is_wrapped([*argv, *tool])


@given(st.lists(st.text(), max_size=5), st.lists(st.sampled_from(["worker", "a"]), min_size=1, unique=True))
def test_the_original_hook_is_recovered_from_a_chained_one(hook: list[str], workers: list[str]) -> None:
    chained = bool(hook)
    for ours in (
        worker_hook("/bin/sh", "worker", "listen 15 30", sidecars_wait=True, chained=chained),
        sidecar_hook("/bin/sh", "", workers, 30 if chained else None),
    ):
        assert wrapped_command(wrap(hook, ours)) == hook


def expand(text: str, variables: dict[str, str]) -> str:
    """Expand like the kubelet: third_party/forked/golang/expansion in Kubernetes."""
    expanded = ""
    while text:
        operator, following = text[:1], text[1:2]
        closed = text.find(")", 2)
        if operator != "$" or not following:
            expanded, text = expanded + operator, text[1:]
        elif following == "$":
            expanded, text = expanded + "$", text[2:]
        elif following == "(" and closed >= 0:
            name = text[2:closed]
            expanded, text = expanded + variables.get(name, f"$({name})"), text[closed + 1 :]
        else:
            expanded, text = expanded + text[:2], text[2:]
    return expanded


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"),
        ("$(B)$(A)", "$(B)1"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A $ $", "$A $ $"),
        ("$(A", "$(A"),
        ("$x$(A)", "$x1"),
        ("$()", "$()"),
    ],
)
def test_the_reference_implementation_expands_as_documented(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1"}) == expanded


@given(st.lists(st.sampled_from([*"$()A x\n", "$$", "$(", "$(A)"]), max_size=20).map("".join))
def test_escaped_text_is_unchanged_after_the_expansion(text: str) -> None:
    assert expand(keep_from_expansion(text), {"A": "1", "": "2", "x": "3"}) == text


@given(st.lists(st.sampled_from([*"$()A x\n", "$$", "$(", "$(A)", "$(B)"]), max_size=20).map("".join))
def test_references_are_expanded_as_the_kubelet_expands_them(text: str) -> None:
    variables = {"A": "1", "C": "2"}
    (known,) = expand_known([text], variables)
    assert expand(known, {}) == expand(text, variables)
    assert (known == text) == referenced_in([text]).isdisjoint(variables)


def test_no_launcher_is_a_worker() -> None:
    names = {name for launcher in TABLE.launcher if not launcher.word for name in launcher.names}
    assert names.isdisjoint(command.split()[0] for framework in TABLE.framework for command in framework.commands)


@pytest.mark.parametrize(
    ("script", "is_endless"),
    [
        ("while true; do celery worker; done", True),
        ("while :\ndo\n  celery worker\n  sleep 5 # a pause\ndone", True),
        ("until false; do celery worker && echo done >>log || date; done", True),
        ("while true; do celery worker; done 2>&1 | tee log", True),
        ("while true; do celery worker | tee log; done", True),
        ("(while true; do celery worker; done) & wait", True),
        ("run() { while true; do celery worker; done; }; run", True),
        ("while true; do for queue in a b; do celery worker -Q $queue; done; done; ack", True),
        ("while true; do celery -A a worker & celery -A b worker & wait; done", True),
        ("setup; sh -c 'while true; do celery worker; done'; ack", True),
        ("while true; do celery worker; ack; done", False),
        ("while true; do celery worker || ack; done", False),
        ("while true; do sh -c 'celery worker; ack'; done", False),
        ("while true; do celery worker & wait; ack; done", False),
        ("while true; do celery worker; [ -e stop ] && break; done", False),
        ("while true; do beat; sleep 1; done & until [ -e stop ]; do celery worker; done; ack", False),
        ("while true; do beat; sleep 1; done & celery worker", False),
    ],
)
def test_a_loop_is_endless_if_it_only_starts_the_worker_again(script: str, is_endless: bool) -> None:
    _, match = find_framework(["sh", "-c", script])
    assert match
    assert match.program.is_endless is is_endless
