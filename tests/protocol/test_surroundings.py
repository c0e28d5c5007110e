"""Rule 7: what the worker finds around it is what it would find without the wrapper."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from .pods import Pod, number, until

MODES = (("loop", "0"), ("signal", "TERM"))
BY_MODE = pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode[0])
SHELLS_OWN = {"PWD", "OLDPWD", "SHLVL", "_", "IFS"}
"""Every shell sets some of these for every program that it runs; IFS is set back, lest it changes what scripts mean."""


def with_and_without(pod: Pod, argv: Sequence[str], mode: tuple[str, str], **options: Any) -> tuple[str, str]:
    """Return what a program writes as a container's own process, and what it writes under the wrapper.

    The program has to fail at its end, so that the loop ends.
    """
    bare, wrapped = pod.start_bare(argv, **options), pod.start(argv, *mode, **options)
    assert bare.wait() == wrapped.wait() != 0
    assert bare.stdout
    return bare.stdout, wrapped.stdout


def variables(environ: str) -> dict[str, str]:
    pairs = (pair.split("=", 1) for pair in environ.split("\0") if pair)
    return {name: value for name, value in pairs if not name.startswith("gw_")}


@BY_MODE
def test_the_environment_is_the_containers(pod: Pod, mode: tuple[str, str]) -> None:
    ours = (
        "folder",
        "mode",
        "setting",
        "code",
        "status",
        "signal",
        "worker",
        "name",
        "left",
        "field",
        "value",
        "child",
    )
    pod.environment |= {
        **dict.fromkeys((*ours, *(f"gw_{name}" for name in ours)), "the user's"),
        "HARD": " $(x) `x` \\ * \n'\" ",
        "EMPTY": "",
        "loop": "1",
    }
    if pod.name == "yash":
        pod.environment["LC_ALL"] = "C.UTF-8"
    bare, wrapped = map(variables, with_and_without(pod, ["cat", "/proc/self/environ", "/missing"], mode))
    assert {name: value for name, value in wrapped.items() if name in bare} == bare
    assert wrapped.keys() - bare.keys() <= SHELLS_OWN


@BY_MODE
def test_variables_whose_names_are_no_identifiers_stay(pod: Pod, mode: tuple[str, str]) -> None:
    if pod.name in {"dash", "busybox", "brought", "mksh"}:
        pytest.skip("this shell drops them from the environment of whatever it starts")
    pod.environment |= {"spring.datasource.url": "jdbc:x", "log-level": "info"}
    bare, wrapped = map(variables, with_and_without(pod, ["cat", "/proc/self/environ", "/missing"], mode))
    assert {name: value for name, value in wrapped.items() if name in bare} == bare


@BY_MODE
def test_the_wrapper_works_under_a_hostile_environment(pod: Pod, mode: tuple[str, str]) -> None:
    pod.environment |= {
        "IFS": "/gw_0123456789",
        "CDPATH": "/",
        "PS4": "$(reboot)",
        "gw_draining": "1",
        "gw_worker": "1",
        "gw_passed": "1",
        "gw_kill_me": "/",
        "gw_children": "1",
    }
    pod.start(pod.message(7), *mode).wait()
    assert pod.journal.lines == ["begin", "end"]


@BY_MODE
def test_no_further_file_is_open(pod: Pod, mode: tuple[str, str]) -> None:
    bare, wrapped = with_and_without(pod, ["ls", "/proc/self/fd", "/missing"], mode)
    assert wrapped == bare


SIGNALS = ["grep", "^Sig[^Q]", "/proc/self/status", "/missing"]


def test_signals_have_the_dispositions_of_the_container_in_loop_mode(pod: Pod) -> None:
    bare, wrapped = with_and_without(pod, SIGNALS, MODES[0])
    assert wrapped == bare


def test_signals_but_int_and_quit_have_the_dispositions_of_the_container_in_signal_mode(pod: Pod) -> None:
    bare, wrapped = with_and_without(pod, SIGNALS, MODES[1])
    background = 1 << number("INT") - 1 | 1 << number("QUIT") - 1

    def but_int_and_quit(masks: str) -> str:
        return re.sub(r"\b[0-9a-f]{16}\b", lambda mask: f"{int(mask[0], 16) & ~background:016x}", masks)

    assert but_int_and_quit(wrapped) == but_int_and_quit(bare)


@BY_MODE
def test_the_file_creation_mask_is_the_containers(pod: Pod, mode: tuple[str, str]) -> None:
    bare, wrapped = with_and_without(pod, ["grep", "Umask", "/proc/self/status", "/missing"], mode, umask=0o027)
    assert wrapped == bare


@BY_MODE
def test_the_working_directory_is_the_containers(pod: Pod, mode: tuple[str, str]) -> None:
    bare, wrapped = with_and_without(pod, ["ls", "-l", "/proc/self/cwd", "/missing"], mode, cwd=pod.room)
    assert wrapped.split("->")[1] == bare.split("->")[1]


@BY_MODE
def test_the_worker_is_in_the_containers_process_group(pod: Pod, mode: tuple[str, str]) -> None:
    pod.journal.hold()
    container = pod.start(pod.message(), *mode)
    pod.journal.until("begin")
    assert os.getpgid(container.child()) == os.getpgid(container.pid)
    pod.journal.release()
    container.signal("KILL")


def test_runs_read_standard_input_one_after_the_other(pod: Pod) -> None:
    lines = pod.room / "lines"
    container = pod.start(pod.worker("line.sh", lines), stdin=subprocess.PIPE)
    assert container.popen.stdin
    with container.popen.stdin as stdin:
        stdin.write(b"first\nsecond\n")
        stdin.flush()
        until("two lines", lambda: lines.exists() and lines.read_text() == "first\nsecond\n")
        stdin.write(b"third\n")
    assert container.wait() == 3
    assert lines.read_text() == "first\nsecond\nthird\n"


def test_standard_input_is_kept_in_signal_mode(pod: Pod) -> None:
    container = pod.signal_mode("TERM", ["cat"], stdin=subprocess.PIPE)
    assert container.popen.stdin
    with container.popen.stdin as stdin:
        stdin.write(b"first\n")
        stdin.flush()
        until("an echo", lambda: container.stdout == "first\n")
        stdin.write(b"second\n")
    assert container.wait() == 0
    assert container.stdout == "first\nsecond\n"


@pytest.mark.skipif(not shutil.which("setsid"), reason="setsid is not installed")
def test_the_worker_keeps_its_terminal_in_loop_mode(pod: Pod) -> None:
    ours, theirs = os.openpty()
    with closing(os.fdopen(ours, "r+b", buffering=0)) as terminal:
        container = pod.start(
            pod.worker("terminal.py"),
            prefix=("setsid", "--ctty"),
            start_new_session=False,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        text = b""
        while b"name?" not in text:
            text += terminal.read(100)
        terminal.write(b"Karl\n")
        while b"hello Karl" not in text:
            text += terminal.read(100)
        assert container.wait() == 3
