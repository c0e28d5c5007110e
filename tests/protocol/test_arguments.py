"""Rule 1: the worker gets its argv exactly as in the manifest, after the shell and the kubelet's expansion."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node.expansion import expand, expand_all
from webhook.core.scripts import COPY_SHELL, LOOP, keep_from_expansion, parent, with_long_names

from .compositions import carried, compositions, parts
from .pods import Pod, Process, in_all_pods

Start = Callable[..., Process]
BY_START = pytest.mark.parametrize("start", [Pod.start_loop, Pod.start_parent], ids=["loop", "parent"])
"""Run the test with a loop around the worker, and with a parent."""
HARD = (
    "",
    " ",
    "two  words",
    " leading and trailing ",
    "'",
    '"',
    'it\'s "quoted"',
    "\n",
    "two\nlines\n",
    "\ttab",
    "$(x)",
    "$x",
    "${x}",
    "`x`",
    "$@",
    "$1",
    "$",
    "\\",
    "\\n",
    "\\\\",
    "*",
    "/*",
    "?",
    "[a-z]",
    "~",
    "{a,b}",
    "!",
    "#",
    ";",
    "&",
    "|",
    "<",
    ">",
    "(",
    ")",
    "-",
    "--",
    "-n",
    "-e",
    "-c",
    "--limit=1",
    "A=1",
    "App\\Message\\Täglich",
    "日本語 ☃ 🐘",
    "",
)
FUNCTIONS = sorted(set(re.findall(r"^(\w+)\(\)", "\n".join(compositions().values()), re.MULTILINE)))
BUILTINS = ["echo", "test", "[", "true", "printf", "kill", "cd", "wait"]
SPECIAL_BUILTINS = ["exit", "eval", "exec", "trap", ":", "export", "set", "shift", "unset"]


def arrived(file: Path) -> list[str]:
    words: list[str] = json.loads(file.read_text())
    return [word.encode("latin-1").decode() for word in words]


def arguments_of(pod: Pod, start: Start, words: Sequence[str]) -> list[str]:
    if pod.name == "yash":  # drops bytes that the locale cannot decode
        pod.environment["LC_ALL"] = "C.UTF-8"
    file = pod.directory / "arguments"
    container = start(pod, pod.worker("arguments.py", file, *words))
    assert container.wait() == 3, container.stderr
    return arrived(file)


@BY_START
@in_all_pods
def test_every_argument_arrives_unchanged(pod: Pod, start: Start) -> None:
    assert arguments_of(pod, start, HARD) == list(HARD)


@BY_START
@in_all_pods
def test_a_thousand_arguments_arrive(pod: Pod, start: Start) -> None:
    words = [f"{position} *" for position in range(1000)]
    assert arguments_of(pod, start, words) == words


@BY_START
@in_all_pods
def test_references_to_the_environment_in_arguments_still_expand(pod: Pod, start: Start) -> None:
    pod.environment |= {"QUEUE": "mails; rm -rf $(pwd) `pwd` $HOME\n", "EMPTY": ""}
    words = ["--queue=$(QUEUE)", "$$(QUEUE)", "$(MISSING)", "$(EMPTY)", "$$$(QUEUE)", "$("]
    assert arguments_of(pod, start, words) == [
        f"--queue={pod.environment['QUEUE']}",
        "$(QUEUE)",
        "$(MISSING)",
        "",
        f"${pod.environment['QUEUE']}",
        "$(",
    ]


@BY_START
@in_all_pods
def test_a_program_with_the_name_of_a_builtin_or_function_is_run(pod: Pod, start: Start) -> None:
    pod.skip_where_applets_come_first()
    names = ["echo", "wait", "kill", "heeds", "prepare", "drain"]
    assert {"heeds", "prepare", "drain"} <= set(FUNCTIONS)
    for name in names:
        pod.program(name, f'#!/bin/sh\nprintf "{name} %s" "$*"\nexit 3\n')
    containers = {name: start(pod, [name, "one", "2"], name=f"worker-{name}") for name in names}
    ends = {name: (container.wait(), container.stdout) for name, container in containers.items()}
    assert ends == {name: (3, f"{name} one 2") for name in names}


@BY_START
def test_a_builtin_or_function_is_never_run_in_place_of_a_missing_program(plain_pod: Pod, start: Start) -> None:
    plain_pod.skip_where_applets_come_first()
    needed = {"mkdir", "mkfifo", "rm", "sleep", "tr", "env"}
    for name in needed:
        plain_pod.programs.joinpath(name).symlink_to(str(shutil.which(name)))
    environment = {"PATH": str(plain_pod.programs)}
    names = [*BUILTINS, *SPECIAL_BUILTINS, *FUNCTIONS]
    containers = {}
    for name in names:
        containers[name] = start(plain_pod, [name, "5"], name=f"worker-{name}", environment=environment)
    ends = {name: container.wait() for name, container in containers.items()}
    assert ends == dict.fromkeys(names, 127)


@pytest.mark.parametrize("looks", [False, True])
def test_our_commands_survive_the_kubelets_expansion_with_any_environment(looks: bool) -> None:
    for script in (LOOP, COPY_SHELL, parent(finds_worker=looks)):
        hostile = dict.fromkeys(re.findall(r"\$\(([^)]*)\)", script), "; reboot;")
        expanded = expand(script, hostile)
        assert "reboot" not in expanded
        assert keep_from_expansion(expanded) == script


def test_hooks_are_not_escaped_because_the_kubelet_does_not_expand_them() -> None:
    hooks = [script for name, script in compositions().items() if "hook" in name]
    assert all(carried(parts()["arguments.sh"]) in with_long_names(hook) for hook in hooks)
    assert not any("$$(" in hook for hook in hooks)


@given(st.text(alphabet="$()ax \n"), st.dictionaries(st.text(alphabet="ax($ ", max_size=3), st.just("hostile")))
def test_escaped_text_is_unchanged_after_the_expansion(text: str, environment: dict[str, str]) -> None:
    assert expand(keep_from_expansion(text), environment) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)-$(B)", "1-2"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$$$(A)", "$$(A)"),
        ("$A $", "$A $"),
        ("$(", "$("),
        ("$(A", "$(A"),
        ("$(NONE)", "$(NONE)"),
        ("$(A$(B))", "$(A$(B))"),
        ("$()", "$()"),
        ("$((A))", "3)"),
    ],
)
def test_the_reference_implementation_expands_like_the_kubelet(text: str, expected: str) -> None:
    assert expand_all([text], {"A": "1", "B": "2", "(A": "3"}) == [expected]
