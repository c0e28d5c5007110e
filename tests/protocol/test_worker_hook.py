"""The worker's preStop hook: the kill file, then the pod's own hook, then a stop signal that is not lost."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from .measurements import Measure
from .pods import Pod, Process, Setting, assert_stays, in_all_pods, now, until
from .test_arguments import HARD, arrived
from .test_process_environment import HARD as HARD_ENVIRONMENT
from .test_process_environment import LIST, entries

TERM = "15 30"
"""The parameters of the hook's `listen` action: the signal, and the pod's original grace period."""


def loop_in_message(pod: Pod) -> Process:
    """Start a loop, and return it when its run has a message, which lasts until the journal releases it."""
    pod.journal.hold()
    container = pod.start_loop(pod.message())
    pod.journal.until("begin")
    return container


def as_process_1(pod: Pod, *arguments: Any, **options: Any) -> Process:
    """Start a container without a script of ours, so that its command is process 1."""
    if pod.setting is Setting.CHILD:
        pytest.skip("process 1 is this machine's")
    return pod.start_bare(pod.consumer(*arguments, **options))


# The kill file, and the chained hook


@in_all_pods
def test_the_hook_ends_the_loop_after_the_run(pod: Pod) -> None:
    container = loop_in_message(pod)
    assert pod.pre_stop(container, holds=False).wait() == 0
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


@in_all_pods
def test_the_kill_file_contains_the_time_of_the_hook(pod: Pod) -> None:
    before = now()
    assert pod.pre_stop(loop_in_message(pod)).wait() == 0
    assert before <= int(pod.kill_me().read_text()) <= now()


@in_all_pods
def test_no_process_can_read_a_kill_file_that_has_no_time_yet(pod: Pod) -> None:
    """The previous drain's hook has left a file, and a process that has it open would see every write to it."""
    container = loop_in_message(pod)
    pod.kill_me().write_text("1\n")
    with pod.kill_me().open() as old:
        assert pod.pre_stop(container).wait() == 0
        assert old.read() == "1\n"
    assert int(pod.kill_me().read_text()) > 1


@in_all_pods
def test_the_kill_file_is_also_written_if_the_image_has_no_program_to_rename_it(pod: Pod) -> None:
    pod.hide_programs("mv")
    container = loop_in_message(pod)
    before = now()
    assert pod.pre_stop(container).wait() == 0
    assert before <= int(pod.kill_me().read_text()) <= now()


@in_all_pods
def test_the_kill_file_exists_before_the_chained_hook_starts(pod: Pod) -> None:
    assert pod.pre_stop(loop_in_message(pod), ["test", "-s", str(pod.kill_me())]).wait() == 0


@in_all_pods
def test_the_kill_file_exists_before_the_environment_of_the_chained_hook_is_prepared(pod: Pod) -> None:
    pod.skip_where_applets_come_first()
    container = loop_in_message(pod)
    file = pod.directory / "found"
    pod.tool("tr", f'#!/bin/sh\nls {pod.kill_me()} >>{file}\nexec {shutil.which("tr")} "$@"\n')
    assert pod.pre_stop(container, ["true"]).wait() == 0
    assert file.read_text().split() == [str(pod.kill_me())]


@pytest.mark.parametrize("holds", [False, True])
@pytest.mark.parametrize("code", [0, 7])
@in_all_pods
def test_the_hook_has_the_exit_code_and_output_of_the_chained_hook(pod: Pod, code: int, holds: bool) -> None:
    hook = pod.pre_stop(loop_in_message(pod), ["/bin/sh", "-c", f"echo out; echo err >&2; exit {code}"], holds=holds)
    assert hook.wait() == code
    assert (hook.stdout, hook.stderr) == ("out\n", "err\n")


@in_all_pods
def test_the_chained_hook_gets_the_containers_environment_byte_for_byte(pod: Pod) -> None:
    pod.environment |= HARD_ENVIRONMENT
    if pod.name == "yash":  # drops bytes that the locale cannot decode
        pod.environment["LC_ALL"] = "C.UTF-8"
    container = loop_in_message(pod)
    bare, chained = pod.exec(container, LIST), pod.pre_stop(container, LIST)
    assert bare.wait() == chained.wait() == 1
    assert entries(chained.stdout) == entries(bare.stdout)


@in_all_pods
def test_every_argument_of_the_chained_hook_arrives_unchanged(pod: Pod) -> None:
    if pod.name == "yash":
        pod.environment["LC_ALL"] = "C.UTF-8"
    words = [*HARD, "$$", "$(PATH)"]
    file = pod.directory / "arguments"
    assert pod.pre_stop(loop_in_message(pod), pod.worker("arguments.py", file, *words)).wait() == 3
    assert arrived(file) == words


@in_all_pods
def test_the_chained_hook_has_no_additional_open_file_and_the_usual_signal_dispositions(pod: Pod) -> None:
    argv = ["/bin/sh", "-c", "/bin/ls /proc/self/fd; exec /bin/grep '^Sig[^Q]' /proc/self/status"]
    container = loop_in_message(pod)
    bare, chained = pod.exec(container, argv), pod.pre_stop(container, argv)
    assert bare.wait() == chained.wait() == 0
    assert chained.stdout == bare.stdout


@pytest.mark.parametrize("chained", [("/bin/sh", "-c", "exit 1"), ("/no/such/program",), ("/",)])
@in_all_pods
def test_a_failing_chained_hook_leaves_the_kill_file(pod: Pod, chained: tuple[str, ...]) -> None:
    container = loop_in_message(pod)
    assert pod.pre_stop(container, chained).wait() != 0
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


@in_all_pods
def test_the_loop_ends_while_a_chained_hook_takes_ten_minutes(pod: Pod) -> None:
    container = loop_in_message(pod)
    hook = pod.pre_stop(container, ["sleep", "600"])
    until("the kill file", pod.kill_me().exists)
    assert hook.running
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


@pytest.mark.parametrize("holds", [False, True])
@in_all_pods
def test_the_hook_returns_at_once_and_leaves_no_pipe_open(pod: Pod, holds: bool, measure: Measure) -> None:
    container = loop_in_message(pod)
    start = time.monotonic()
    hook = pod.pre_stop(container, holds=holds, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output = hook.read_to_end(5)
    seconds = time.monotonic() - start
    measure("worker's preStop hook without a chained one", seconds, pod)
    assert seconds < 2
    assert (hook.wait(), output) == (0, (b"", b""))


@in_all_pods
def test_running_the_hook_twice_has_the_same_effect_as_once(pod: Pod) -> None:
    container = loop_in_message(pod)
    for _ in range(2):
        assert pod.pre_stop(container).wait() == 0
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


@in_all_pods
def test_the_hook_creates_the_folder_in_a_container_without_our_scripts(pod: Pod) -> None:
    container = pod.start_bare(["sleep", "600"])
    assert pod.pre_stop(container).wait() == 0
    assert pod.kill_me().exists()
    assert pod.alive().is_fifo()


@in_all_pods
def test_a_hook_that_cannot_create_the_kill_file_fails_and_runs_the_chained_hook(pod: Pod) -> None:
    pod.folder().touch()
    container = pod.start_bare(["sleep", "600"])
    hook = pod.pre_stop(container, holds=False)
    assert hook.wait() != 0
    assert str(pod.folder()) in hook.stderr
    chained = pod.pre_stop(container, ["echo", "chained"])
    assert (chained.wait(), chained.stdout) == (0, "chained\n")


@in_all_pods
def test_the_hook_of_one_worker_does_not_affect_the_others(pod: Pod) -> None:
    first, second = (pod.start_loop(["sleep", "0.01"], name=name) for name in ("first", "second"))
    until("both folders", lambda: pod.alive("first").exists() and pod.alive("second").exists())
    time.sleep(0.1)
    pod.drain(first, "first")
    assert first.wait() == 0
    assert_stays("the other one at work", lambda: second.running and not pod.kill_me("second").exists())


# Listening: the stop signal must not be lost on a worker that is still starting


@pytest.mark.parametrize("how", ["handler", "sigwait", "blocked"])
@in_all_pods
def test_a_hook_returns_at_once_if_process_1_handles_the_signal(pod: Pod, how: str, measure: Measure) -> None:
    container = as_process_1(pod, how=how)
    pod.journal.until("ready")
    hook = pod.pre_stop(container, action=f"listen {TERM}")
    assert hook.wait(4) == 0
    measure(f"preStop hook that finds a worker that handles the signal: {how}", hook.seconds, pod)
    container.signal("TERM")
    assert container.wait() == 0


@in_all_pods
def test_a_hook_waits_for_a_process_1_that_sets_its_handler_late(pod: Pod) -> None:
    container = as_process_1(pod, code=7, late=1.5)
    pod.journal.until("start")
    hook = pod.pre_stop(container, ["echo", "chained"], action=f"listen {TERM}")
    until("the chained hook", lambda: hook.stdout == "chained\n")
    assert hook.running
    assert "ready" not in pod.journal.lines
    assert hook.wait() == 0
    container.signal("TERM")
    assert container.wait() == 7
    assert pod.journal.lines == ["start", "ready", "heard TERM", "end"]


@in_all_pods
def test_a_hook_gives_up_on_a_process_1_that_handles_only_other_signals(pod: Pod) -> None:
    container = as_process_1(pod, "USR1")
    pod.journal.until("ready")
    hook = pod.pre_stop(container, action=f"listen {TERM}")
    time.sleep(1)
    assert hook.running
    assert hook.wait(14) == 0


@in_all_pods
def test_a_hook_waits_for_a_worker_in_python_that_takes_long_to_start(pod: Pod) -> None:
    """Python handles INT, and INT alone, until the worker sets its handler."""
    container = as_process_1(pod, code=7, late=7)
    pod.journal.until("start")
    assert pod.pre_stop(container, action=f"listen {TERM}").wait() == 0
    container.signal("TERM")
    assert container.wait() == 7


@in_all_pods
def test_a_hook_waits_no_longer_than_the_original_grace_period_for_a_process_1_that_handles_only_int(pod: Pod) -> None:
    """It may be the stop signal of an image that is not known."""
    container = as_process_1(pod, "INT")
    pod.journal.until("ready")
    hook = pod.pre_stop(container, action="listen 15 7")
    assert hook.wait() == 0
    assert hook.seconds > 6


@in_all_pods
def test_a_hook_waits_for_a_loop_or_a_parent_that_is_still_starting(pod: Pod) -> None:
    if pod.setting is Setting.CHILD:
        pytest.skip("process 1 is this machine's")
    if pod.name == "mksh":
        pytest.skip("it has handlers of its own from the start; no image has it as /bin/sh")
    for start in (pod.start_loop, pod.start_parent):
        pod.journal.path.unlink(missing_ok=True)
        container = start(pod.consumer(code=7) if start == pod.start_parent else pod.message())
        # 137 if the container ends first, which kills the hook.
        assert pod.pre_stop(container, action=f"listen {TERM}").wait() in {0, 137}
        container.signal("TERM")
        # 143 if the signal kills a command that has not been executed yet, and so has no message.
        assert container.wait() in {0, 7, 143}
        container.remove()


# Sending


@in_all_pods
def test_a_hook_sends_the_signal_once_and_stays_until_the_container_ends(pod: Pod) -> None:
    pod.journal.hold()
    container = as_process_1(pod, "INT", 7)
    pod.journal.until("ready")
    hook = pod.pre_stop(container, action="send 2 0")
    pod.journal.until("heard INT")
    assert_stays("the hook is there", lambda: hook.running, 0.5)
    pod.journal.release()
    assert container.wait() == 7
    hook.wait(3)
    assert [line for line in pod.journal.lines if "INT" in line] == ["heard INT"]


@pytest.mark.parametrize("late", [1, 6.5], ids=["soon", "after-five-seconds"])
@in_all_pods
def test_a_hook_sends_the_signal_when_a_late_worker_has_set_its_handler(pod: Pod, late: float) -> None:
    container = as_process_1(pod, "QUIT", 7, late=late)
    pod.journal.until("start")
    hook = pod.pre_stop(container, ["echo", "chained"], action="send 3 0")
    assert container.wait() == 7
    assert pod.journal.lines == ["start", "ready", "heard QUIT", "end"]
    assert hook.stdout == "chained\n"


@pytest.mark.parametrize(("seconds", "what"), [(0.4, ["working", "heard", "end"]), (-1, ["dropped"])])
@in_all_pods
def test_a_hook_sends_the_signal_when_the_worker_has_a_child_or_fetches_no_message(
    pod: Pod, seconds: float, what: list[str]
) -> None:
    if pod.setting is Setting.CHILD:
        pytest.skip("process 1 is this machine's")
    container = pod.start_bare(pod.worker("fetcher.py", pod.journal.path, seconds))
    pod.journal.until("fetching")
    pod.pre_stop(container, action="send 15 1")
    assert container.wait() == 0
    assert pod.journal.lines == ["fetching", *what]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can switch to other users")
@in_all_pods
def test_a_hook_without_permission_to_signal_process_1_leaves_that_to_the_kubelet(pod: Pod) -> None:
    container = as_process_1(pod)
    pod.journal.until("ready")
    pod.folder().mkdir()
    pod.folder().chmod(0o777)
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    assert pod.pre_stop(container, action="send 15 0", prefix=nobody).wait(5) == 0
    assert pod.journal.lines == ["start", "ready"]
    container.signal("TERM")
    assert container.wait() == 0


@in_all_pods
def test_a_hook_that_stays_sends_no_signal_and_ends_with_the_container(pod: Pod) -> None:
    container = as_process_1(pod, code=7)
    pod.journal.until("ready")
    hook = pod.pre_stop(container, ["echo", "chained"], action="stay")
    until("the chained hook", lambda: hook.stdout == "chained\n")
    assert_stays("all there", lambda: hook.running and container.running, 0.5)
    container.signal("TERM")
    assert container.wait() == 7
    hook.wait(3)
    assert pod.journal.lines == ["start", "ready", "heard TERM", "end"]


# Holding the FIFO


def fifo_is_held(pod: Pod) -> bool:
    """Return whether a process holds the FIFO open, so that it can be opened for writing."""
    try:
        os.close(os.open(pod.alive(), os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("action", ["", f"listen {TERM}", "send 15 0", "stay"])
@in_all_pods
def test_the_fifo_is_held_until_the_container_ends(pod: Pod, action: str) -> None:
    pod.journal.hold()
    container = as_process_1(pod, code=7)
    pod.journal.until("ready")
    pod.pre_stop(container, action=action)
    until("the FIFO is held", lambda: pod.kill_me().exists() and fifo_is_held(pod))
    time.sleep(0.5)
    container.signal("TERM")
    assert_stays("the FIFO is held", lambda: fifo_is_held(pod), 0.3)
    pod.journal.release()
    assert container.wait() == 7
    until("the FIFO is free", lambda: not fifo_is_held(pod), within=3)


@in_all_pods
def test_without_sidecars_the_hook_leaves_no_process_behind(pod: Pod) -> None:
    hook = pod.pre_stop(loop_in_message(pod), holds=False)
    assert hook.wait() == 0
    assert list(hook.members()) == []


def supervisor(pod: Pod, children: int, how: str, shown: bool = True) -> Process:
    """Start a process 1 with children; if not `shown`, the kernel does not show where it sleeps (/proc/1/wchan)."""
    if pod.setting is Setting.CHILD:
        pytest.skip("process 1 is this machine's")
    hide: list[str] = []
    if not shown:
        if os.geteuid() != 0:
            pytest.skip("only root can hide a file of /proc")
        hidden = pod.directory / "wchan"
        hidden.write_text("0")
        hide = ["/bin/sh", "-c", f'mount --bind {hidden} /proc/1/wchan && exec "$@"', "sh"]
    return pod.start_bare([*hide, *pod.worker("supervisor.py", pod.journal.path, children, how)])


WHERE_PROCESS_1_SLEEPS = pytest.mark.parametrize("shown", [True, False], ids=["shown", "hidden"])


@pytest.mark.parametrize("children", [1, 3])
@WHERE_PROCESS_1_SLEEPS
@in_all_pods
def test_the_process_that_holds_the_fifo_does_not_delay_a_process_1_that_waits_for_all_its_children(
    pod: Pod, children: int, shown: bool
) -> None:
    container = supervisor(pod, children, "waits", shown)
    pod.journal.until("ready")
    assert pod.pre_stop(container, action=f"listen {TERM}").wait() == 0
    time.sleep(0.3)
    assert fifo_is_held(pod)
    container.signal("TERM")
    assert container.wait(6) == 0
    assert pod.journal.lines == ["ready", "heard TERM", "end"]


@WHERE_PROCESS_1_SLEEPS
@in_all_pods
def test_the_fifo_is_held_until_a_process_1_ends_that_computes_after_its_last_child(pod: Pod, shown: bool) -> None:
    container = supervisor(pod, 1, "computes", shown)
    pod.journal.until("ready")
    assert pod.pre_stop(container, action=f"listen {TERM}").wait() == 0
    container.signal("TERM")
    pod.journal.until("heard TERM")
    assert_stays("the FIFO is held", lambda: fifo_is_held(pod), 0.8)
    assert container.wait(6) == 0


@WHERE_PROCESS_1_SLEEPS
@in_all_pods
def test_the_process_that_holds_the_fifo_leaves_a_polling_process_1_after_the_original_grace_period(
    pod: Pod, shown: bool
) -> None:
    container = supervisor(pod, 1, "polls", shown)
    pod.journal.until("ready")
    begin = time.monotonic()
    assert pod.pre_stop(container, action="listen 15 2").wait() == 0
    container.signal("TERM")
    pod.journal.until("heard TERM")
    # Process 1 ends after all its children, and the process that holds the FIFO is the last of them.
    assert container.wait() == 0
    assert time.monotonic() - begin >= 2


@in_all_pods
def test_the_hook_writes_a_heartbeat_in_an_image_without_mkfifo(pod: Pod) -> None:
    if pod.setting is Setting.CHILD:
        pytest.skip("process 1 is this machine's")
    pod.hide_programs("mkfifo")
    container = pod.start_bare([*pod.without, "sleep", "600"])
    # Only then is mkfifo hidden.
    until("process 1 is the worker", lambda: Path(f"/proc/{container.pid}/comm").read_text() == "sleep\n")
    assert pod.pre_stop(container).wait() == 0
    until("a heartbeat", functools.partial(_heartbeat, pod))
    assert _heartbeat(pod) in {"0", "1"}


def _heartbeat(pod: Pod) -> str:
    return pod.heartbeat().read_text().strip() if pod.heartbeat().exists() else ""
