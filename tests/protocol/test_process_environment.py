"""Rule 7: a wrapped worker has the same environment, terminal and signal dispositions as an unwrapped one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from string import ascii_lowercase
from typing import Any

import pytest

from .pods import Pod, Process, in_all_pods, until
from .test_arguments import BY_START, Start

# With their paths, so that busybox does not run its own applets.
CAT, LS, GREP = (str(shutil.which(name)) for name in ("cat", "ls", "grep"))
LIST = [CAT, "/proc/self/environ", "/missing"]
HARD = {
    "HARD": " $(x) `x` \\ * \n'\" ",
    "EMPTY": "",
    "loop": "1",
    # In pods, the variables of the scripts have short names.
    **{f"gw_{letter}": f" the user's {letter} " for letter in ascii_lowercase},
    "gw_folder": "the user's",
    "gw_signals": "1",
    "gw_missing": "1",
    "gw_name": " two  words ",
    "gw_settings": "",
    "gw_path": "/",
    "IFS": "/gw_0123456789",
    "PPID": "7",
    "OPTIND": "3",
    "PS1": "> ",
    "PS4": "$(reboot)",
    "CDPATH": "/",
    "spring.rabbitmq.host": "a=b=c",
    "log-level": "info",
    "1st": "first",
    "two words": "*",
    "dotted.empty": "",
    "dotted.lines": "\none\n\n two $(reboot)\\n\n\n",
    "dotted.equals": "=",
    "dotted.utf8": "Täglich 日本語 ☃",
    # Some shells use these bytes internally for special characters.
    "dotted.signs": "".join(bytes([0xC4, byte]).decode() for byte in range(0x81, 0x89)),
    "ümlaut": "ü",
}
SHELLS_OWN: tuple[dict[str, str], ...] = (
    {},
    {"PWD": "/somewhere", "OLDPWD": "/else", "SHLVL": "41", "_": "/bin/false"},
    {"PWD": "", "OLDPWD": "", "SHLVL": "", "_": ""},
    {"SHLVL": "no number", "_": "two\nlines"},
)


def outputs_bare_and_wrapped(pod: Pod, argv: Sequence[str], start: Start, **options: Any) -> tuple[str, str]:
    """Return a program's output as the container's own process, and its output when it is wrapped.

    The program must exit with an error, so that the loop ends.
    """
    bare, wrapped = pod.start_bare(argv, **options), start(pod, argv, **options)
    assert bare.wait() == wrapped.wait() != 0
    assert bare.stdout
    return bare.stdout, wrapped.stdout


def entries(environ: str) -> list[str]:
    return sorted(environ.split("\0"))


def set_environment(pod: Pod, **environment: str) -> None:
    pod.environment |= environment
    if pod.name == "yash":  # drops bytes that the locale cannot decode
        pod.environment["LC_ALL"] = "C.UTF-8"


@BY_START
@in_all_pods
def test_the_worker_gets_the_containers_environment_byte_for_byte(pod: Pod, start: Start) -> None:
    set_environment(pod, **HARD)
    bare, wrapped = outputs_bare_and_wrapped(pod, LIST, start)
    assert entries(wrapped) == entries(bare)


@BY_START
@pytest.mark.parametrize("own", SHELLS_OWN, ids=range(len(SHELLS_OWN)))
@in_all_pods
def test_variables_that_shells_set_themselves_are_unchanged(pod: Pod, start: Start, own: dict[str, str]) -> None:
    set_environment(pod, **own)
    bare, wrapped = outputs_bare_and_wrapped(pod, LIST, start)
    assert entries(wrapped) == entries(bare)


@BY_START
@in_all_pods
def test_a_path_without_bin_applies_to_the_worker_and_not_to_the_scripts(pod: Pod, start: Start) -> None:
    set_environment(pod, PATH=str(pod.programs))
    bare, wrapped = outputs_bare_and_wrapped(pod, LIST, start)
    assert entries(wrapped) == entries(bare)


@BY_START
@in_all_pods
def test_a_program_is_looked_up_only_in_path(pod: Pod, start: Start) -> None:
    set_environment(pod, PATH=str(pod.programs))
    pod.program("consume", "#!/bin/sh\nexit 3\n")
    assert start(pod, ["consume"]).wait() == 3
    assert start(pod, ["ldd"], name="other").wait() == 127


@BY_START
@pytest.mark.parametrize("missing", [("env",), ("tr",), ("env", "tr")], ids="-".join)
@in_all_pods
def test_variables_whose_names_are_identifiers_stay_in_an_image_without_env_or_tr(
    pod: Pod, start: Start, missing: tuple[str, ...]
) -> None:
    if pod.name == "bash":
        pytest.skip("its command -v also finds files that are not executable, such as programs that these tests hide")
    pod.hide_programs(*missing)
    set_environment(pod, HARD=HARD["HARD"], EMPTY="")
    bare, wrapped = outputs_bare_and_wrapped(pod, LIST, start)
    assert set(entries(bare)) <= set(entries(wrapped))


@BY_START
@in_all_pods
def test_the_scripts_work_under_a_hostile_environment(pod: Pod, start: Start) -> None:
    set_environment(pod, **HARD, **{f"gw_{first}{second}": "1" for first in "abc" for second in ascii_lowercase})
    container = start(pod, pod.message(7))
    assert container.wait() == 7
    assert pod.journal.lines == ["begin", "end"]
    assert container.stderr == ""


@BY_START
@in_all_pods
def test_the_worker_inherits_no_additional_open_file(pod: Pod, start: Start) -> None:
    bare, wrapped = outputs_bare_and_wrapped(pod, [LS, "/proc/self/fd", "/missing"], start)
    assert wrapped == bare


SIGNALS = [GREP, "^Sig[^Q]", "/proc/self/status", "/missing"]


@BY_START
@in_all_pods
def test_the_worker_has_the_signal_dispositions_of_the_container(pod: Pod, start: Start) -> None:
    bare, wrapped = outputs_bare_and_wrapped(pod, SIGNALS, start)
    assert wrapped == bare


@BY_START
@in_all_pods
def test_a_shell_that_is_the_worker_can_trap_int_and_quit(pod: Pod, start: Start) -> None:
    """A POSIX shell cannot trap them if they were ignored when it was started."""
    script = f"trap 'exit 7' INT QUIT; echo 0 ready >>{pod.journal.path}; while :; do sleep 0.05; done"
    container = start(pod, ["/bin/sh", "-c", script, "the-worker"])
    pod.journal.until("ready")
    os.kill(container.worker("the-worker"), 3)
    assert container.wait() == 7


@BY_START
@in_all_pods
def test_the_worker_has_the_umask_of_the_container(pod: Pod, start: Start) -> None:
    bare, wrapped = outputs_bare_and_wrapped(pod, [GREP, "Umask", "/proc/self/status", "/missing"], start, umask=0o027)
    assert wrapped == bare


@BY_START
@in_all_pods
def test_the_worker_has_the_working_directory_of_the_container(pod: Pod, start: Start) -> None:
    bare, wrapped = outputs_bare_and_wrapped(pod, [LS, "-l", "/proc/self/cwd", "/missing"], start, cwd=pod.directory)
    assert wrapped.split("->")[1] == bare.split("->")[1]


@in_all_pods
def test_a_run_is_in_the_containers_process_group(pod: Pod) -> None:
    pod.journal.hold()
    container = pod.start_loop(pod.message())
    pod.journal.until("begin")
    assert os.getpgid(container.worker("message.py")) == os.getpgid(container.pid)


@pytest.mark.skipif(not shutil.which("setsid"), reason="setsid is not installed")
@in_all_pods
def test_a_command_below_a_parent_leads_its_process_group_and_session_like_process_1(pod: Pod) -> None:
    pod.journal.hold()
    container = pod.start_parent(pod.message())
    pod.journal.until("begin")
    worker = container.worker("message.py")
    assert (os.getpgid(worker), os.getsid(worker)) == (worker, worker)


@in_all_pods
def test_runs_read_standard_input_one_after_the_other(pod: Pod) -> None:
    lines = pod.directory / "lines"
    container = pod.start_loop(pod.worker("line.sh", lines), stdin=subprocess.PIPE)
    assert container.popen.stdin
    with container.popen.stdin as stdin:
        stdin.write(b"first\nsecond\n")
        stdin.flush()
        until("two lines", lambda: lines.exists() and lines.read_text() == "first\nsecond\n")
        stdin.write(b"third\n")
    assert container.wait() == 3
    assert lines.read_text() == "first\nsecond\nthird\n"


def without_mkfifo(pod: Pod, argv: Sequence[str], **options: Any) -> Process:
    pod.hide_programs("mkfifo")
    return pod.start_parent(argv, **options)


@pytest.mark.parametrize("start", [Pod.start_parent, without_mkfifo], ids=["parent", "without-mkfifo"])
@in_all_pods
def test_a_command_below_a_parent_keeps_its_standard_input(pod: Pod, start: Callable[..., Process]) -> None:
    container = start(pod, [CAT], stdin=subprocess.PIPE)
    assert container.popen.stdin
    with container.popen.stdin as stdin:
        stdin.write(b"first\n")
        stdin.flush()
        until("an echo", lambda: container.stdout == "first\n")
        stdin.write(b"second\n")
    assert container.wait() == 0
    assert container.stdout == "first\nsecond\n"


@pytest.mark.skipif(not shutil.which("setsid"), reason="setsid is not installed")
@BY_START
@in_all_pods
def test_the_worker_keeps_its_terminal(pod: Pod, start: Start) -> None:
    ours, theirs = os.openpty()
    with closing(os.fdopen(ours, "r+b", buffering=0)) as terminal:
        container = start(
            pod,
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
