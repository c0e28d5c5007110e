"""Rule 1: the worker's argv arrives as the manifest has it, past the shell and past the kubelet's expansion."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node.expansion import expand, expand_all
from webhook.core.wrapping import SIDECAR_HOOK_SCRIPT, WORKER_HOOK_SCRIPT, WORKER_SCRIPT, keep_from_expansion

from .pods import Pod

MODES = (("loop", "0"), ("signal", "TERM"))
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
SCRIPT = files("webhook.shell").joinpath("worker.sh").read_text()
FUNCTIONS = re.findall(r"^(\w+)\(\)", SCRIPT, re.MULTILINE)
BUILTINS = ["echo", "test", "[", "true", "printf", "kill", "cd", "wait"]
SPECIAL_BUILTINS = ["exit", "eval", "exec", "trap", ":", "export", "set", "shift", "unset"]


def arrived(file: Path) -> list[str]:
    words: list[str] = json.loads(file.read_text())
    return [word.encode("latin-1").decode() for word in words]


def arguments_of(pod: Pod, mode: tuple[str, str], words: Sequence[str]) -> list[str]:
    if pod.name == "yash":  # drops what the locale cannot read
        pod.environment["LC_ALL"] = "C.UTF-8"
    file = pod.room / "arguments"
    container = pod.start(pod.worker("arguments.py", file, *words), *mode)
    assert container.wait() == 3, container.stderr
    return arrived(file)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode[0])
def test_every_argument_arrives_untouched(pod: Pod, mode: tuple[str, str]) -> None:
    assert arguments_of(pod, mode, HARD) == list(HARD)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode[0])
def test_a_thousand_arguments_arrive(pod: Pod, mode: tuple[str, str]) -> None:
    words = [f"{position} *" for position in range(1000)]
    assert arguments_of(pod, mode, words) == words


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode[0])
def test_references_to_the_environment_in_arguments_still_expand(pod: Pod, mode: tuple[str, str]) -> None:
    pod.environment |= {"QUEUE": "mails; rm -rf $(pwd) `pwd` $HOME\n", "EMPTY": ""}
    words = ["--queue=$(QUEUE)", "$$(QUEUE)", "$(MISSING)", "$(EMPTY)", "$$$(QUEUE)", "$("]
    assert arguments_of(pod, mode, words) == [
        f"--queue={pod.environment['QUEUE']}",
        "$(QUEUE)",
        "$(MISSING)",
        "",
        f"${pod.environment['QUEUE']}",
        "$(",
    ]


@pytest.fixture
def exec_runs_programs_only(shell: str) -> None:
    if shell == "mksh":
        pytest.skip("exec of mksh runs builtins and functions, too")


@pytest.mark.usefixtures("exec_runs_programs_only")
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode[0])
def test_a_program_with_the_name_of_a_builtin_or_function_is_run(plain_pod: Pod, mode: tuple[str, str]) -> None:
    names = [*BUILTINS, *FUNCTIONS]
    for name in names:
        plain_pod.program(name, f'#!/bin/sh\nprintf "{name} %s" "$*"\nexit 3\n')
    containers = {name: plain_pod.start([name, "one", "2"], *mode) for name in names}
    ends = {name: (container.wait(), container.stdout) for name, container in containers.items()}
    assert ends == {name: (3, f"{name} one 2") for name in names}


@pytest.mark.usefixtures("exec_runs_programs_only")
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode[0])
def test_a_builtin_or_function_is_never_run_in_place_of_a_missing_program(
    plain_pod: Pod, mode: tuple[str, str]
) -> None:
    for needed in ("mkdir", "rm", "sleep"):
        plain_pod.programs.joinpath(needed).symlink_to(str(shutil.which(needed)))
    environment = {"PATH": str(plain_pod.programs)}
    names = [*BUILTINS, *SPECIAL_BUILTINS, *FUNCTIONS]
    containers = {name: plain_pod.start([name, "5"], *mode, environment=environment) for name in names}
    ends = {name: container.wait() for name, container in containers.items()}
    assert ends == dict.fromkeys(names, 127)


def carried(name: str) -> str:
    """Return a script without its comments and empty lines."""
    lines = files("webhook.shell").joinpath(name).read_text().splitlines()
    return "".join(f"{line}\n" for line in lines if line.strip() and not line.lstrip().startswith("#"))


def test_the_script_is_itself_again_after_the_expansion_with_any_environment() -> None:
    names = re.findall(r"\$\(([^)]*)\)", carried("worker.sh") + WORKER_SCRIPT)
    assert names, "nothing here that the kubelet could take for a reference"
    hostile = dict.fromkeys(names, "; reboot;")
    assert expand(WORKER_SCRIPT, hostile) == carried("worker.sh")


def test_hooks_which_the_kubelet_does_not_expand_are_carried_as_they_are() -> None:
    assert carried("worker-prestop.sh") == WORKER_HOOK_SCRIPT
    assert carried("sidecar-prestop.sh") == SIDECAR_HOOK_SCRIPT


@given(st.text(alphabet="$()ax \n"), st.dictionaries(st.text(alphabet="ax($ ", max_size=3), st.just("hostile")))
def test_text_kept_from_expansion_is_itself_again_after_it(text: str, environment: dict[str, str]) -> None:
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
def test_the_reference_expands_as_the_kubelet_does(text: str, expected: str) -> None:
    assert expand_all([text], {"A": "1", "B": "2", "(A": "3"}) == [expected]
