"""The worker's preStop hook: the kill file first, then the hook of before; and a heartbeat for the sidecars."""

from __future__ import annotations

import functools
import subprocess
import time

import pytest

from .measurements import Measure
from .pods import Pod, Process, Setting, in_all_pods, stays, until
from .test_arguments import HARD, arrived


@pytest.fixture
def working(pod: Pod) -> Process:
    """A container whose run is at a message, until the journal releases it."""
    return begun(pod)


def begun(pod: Pod) -> Process:
    pod.journal.hold()
    container = pod.start(pod.message())
    pod.journal.until("begin")
    return container


def beats(pod: Pod) -> str:
    return pod.heartbeat().read_text() if pod.heartbeat().exists() else ""


def until_it_beats(pod: Pod, times: int = 2) -> None:
    """Wait until the heartbeat has changed some times."""
    for _ in range(times):
        old = {"", beats(pod)}
        until("a heartbeat", functools.partial(_changed, pod, old))


def _changed(pod: Pod, old: set[str]) -> bool:
    return beats(pod) not in old


def test_the_hook_ends_the_loop_after_the_run(pod: Pod, working: Process) -> None:
    assert pod.pre_stop(working).wait() == 0
    pod.journal.release()
    assert working.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


def test_the_kill_file_is_there_before_the_chained_hook_starts(pod: Pod, working: Process) -> None:
    assert pod.pre_stop(working, ["test", "-e", str(pod.kill_me())]).wait() == 0


@pytest.mark.parametrize("code", [0, 1, 7])
@in_all_pods
def test_the_chained_hooks_exit_code_is_the_hooks(pod: Pod, code: int) -> None:
    assert pod.pre_stop(begun(pod), ["/bin/sh", "-c", f"exit {code}"]).wait() == code


def test_the_chained_hooks_output_is_the_hooks(pod: Pod, working: Process) -> None:
    hook = pod.pre_stop(working, ["/bin/sh", "-c", "echo out; echo err >&2"])
    assert hook.wait() == 0
    assert (hook.stdout, hook.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("chained", [("/bin/sh", "-c", "exit 1"), ("/no/such/program",), ("/",)])
@in_all_pods
def test_a_failing_chained_hook_leaves_the_kill_file(pod: Pod, chained: tuple[str, ...]) -> None:
    container = begun(pod)
    assert pod.pre_stop(container, chained).wait() != 0
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


def test_the_loop_ends_while_a_chained_hook_takes_ten_minutes(pod: Pod, working: Process) -> None:
    hook = pod.pre_stop(working, ["sleep", "600"])
    until("the kill file", pod.kill_me().exists)
    assert hook.running
    pod.journal.release()
    assert working.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


def test_every_argument_of_the_chained_hook_arrives_untouched(pod: Pod, working: Process) -> None:
    if pod.name == "yash":  # drops what the locale cannot read
        pod.environment["LC_ALL"] = "C.UTF-8"
    words = [*HARD, "$$", "$(PATH)"]
    file = pod.room / "arguments"
    assert pod.pre_stop(working, pod.worker("arguments.py", file, *words)).wait() == 3
    assert arrived(file) == words


def test_the_hook_returns_at_once_and_leaves_no_pipe_open(pod: Pod, working: Process, measure: Measure) -> None:
    start = time.monotonic()
    hook = pod.pre_stop(working, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output = hook.read_to_end(5)
    seconds = time.monotonic() - start
    measure("worker's preStop hook without a chained one", seconds, pod)
    assert seconds < 1
    assert (hook.wait(), output) == (0, (b"", b""))


def test_the_hook_with_a_chained_one_leaves_no_pipe_open(pod: Pod, working: Process) -> None:
    hook = pod.pre_stop(working, ["echo", "done"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert hook.read_to_end(5) == (b"done\n", b"")


@in_all_pods
def test_the_heart_beats_on_after_the_hook_has_returned(pod: Pod) -> None:
    pod.sleep_faster(5)
    container = begun(pod)
    assert pod.pre_stop(container).wait() == 0
    until_it_beats(pod, 3)


@in_all_pods
def test_the_heart_beats_while_the_chained_hook_is_at_work(pod: Pod) -> None:
    pod.sleep_faster(5)
    container = begun(pod)
    hook = pod.pre_stop(container, ["/bin/sleep", "600"])
    until_it_beats(pod, 3)
    assert hook.running


@in_all_pods
def test_the_heart_beats_after_the_chained_hook_has_failed(pod: Pod) -> None:
    pod.sleep_faster(5)
    container = begun(pod)
    assert pod.pre_stop(container, ["/bin/sh", "-c", "exit 1"]).wait() == 1
    until_it_beats(pod, 3)


@in_all_pods
def test_the_heart_stops_with_the_worker(pod: Pod) -> None:
    pod.sleep_faster(5)
    container = begun(pod)
    hook = pod.pre_stop(container)
    assert hook.wait() == 0
    until_it_beats(pod)
    pod.journal.release()
    assert container.wait() == 0
    until("nothing left of the hook", lambda: not hook.left_over(), within=5)


@in_all_pods
def test_the_heart_stops_when_the_container_is_killed(pod: Pod) -> None:
    if pod.setting is Setting.CHILD:
        pytest.skip("it is the end of the namespace that ends the heart")
    pod.sleep_faster(5)
    container = begun(pod)
    pod.drain(container)
    until_it_beats(pod)
    container.signal("KILL")
    container.wait()
    last = pod.heartbeat().read_text()
    stays("silence", lambda: pod.heartbeat().read_text() == last, 2.5)


def test_the_hook_that_runs_twice_is_no_worse_than_once(pod: Pod, working: Process) -> None:
    for _ in range(2):
        assert pod.pre_stop(working).wait() == 0
    pod.journal.release()
    assert working.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


def test_the_hook_makes_the_folder_where_the_worker_has_not(pod: Pod) -> None:
    container = pod.start_bare(["sleep", "600"])
    assert pod.pre_stop(container).wait() == 0
    assert pod.kill_me().exists()


def test_a_hook_that_cannot_create_the_kill_file_fails(pod: Pod) -> None:
    pod.folder().touch()
    container = pod.start_bare(["sleep", "600"])
    hook = pod.pre_stop(container)
    assert hook.wait() != 0
    assert str(pod.folder()) in hook.stderr


def test_a_hook_that_cannot_create_the_kill_file_still_runs_the_chained_hook(pod: Pod) -> None:
    pod.folder().touch()
    container = pod.start_bare(["sleep", "600"])
    hook = pod.pre_stop(container, ["echo", "chained"])
    assert (hook.wait(), hook.stdout) == (0, "chained\n")


def test_the_hook_of_one_worker_leaves_the_others_alone(pod: Pod) -> None:
    first, second = (pod.start(["sleep", "0.01"], name=name) for name in ("first", "second"))
    until("both folders", lambda: pod.folder("first").exists() and pod.folder("second").exists())
    time.sleep(0.05)
    pod.drain(first, "first")
    assert first.wait() == 0
    stays("the other one at work", lambda: second.running and not pod.kill_me("second").exists())
