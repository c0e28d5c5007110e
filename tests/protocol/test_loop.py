"""Loop mode, rules 2, 3, 5 and 8: when a run begins, when none does, and how the container ends."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from itertools import pairwise

import pytest

from .measurements import Measure
from .pods import LONG, STOP_SIGNALS, Pod, Process, Setting, first_end, has_handlers, in_all_pods, number, stays, until


def begun(pod: Pod, delay: int = 0) -> Process:
    """Start a loop, and return it when its first run is at a message, which takes until the journal releases it."""
    pod.journal.hold()
    container = pod.start(pod.message(), setting=str(delay))
    pod.journal.until("begin")
    return container


def test_runs_follow_each_other_until_the_kill_file_exists(pod: Pod) -> None:
    container = pod.start(pod.message())
    pod.journal.until("end", 3)
    pod.kill_me().touch()
    assert container.wait() == 0
    assert pod.journal.count("begin") == pod.journal.count("end")


def test_one_run_is_at_work_at_a_time(pod: Pod) -> None:
    container = pod.start(pod.message())
    pod.journal.until("end", 3)
    pod.drain(container)
    container.wait()
    lines = pod.journal.lines
    assert lines == ["begin", "end"] * (len(lines) // 2)


def test_no_run_starts_once_the_kill_file_exists(pod: Pod) -> None:
    container = begun(pod)
    pod.kill_me().touch()
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


def test_the_run_in_progress_goes_on_when_the_kill_file_appears(pod: Pod) -> None:
    container = begun(pod)
    pod.kill_me().touch()
    stays("a run at work", lambda: container.running and pod.journal.lines == ["begin"])


@pytest.mark.parametrize("name", STOP_SIGNALS)
@in_all_pods
def test_a_stop_signal_without_a_hook_ends_the_loop_after_the_run(pod: Pod, name: str) -> None:
    container = begun(pod)
    container.signal(name)
    stays("a run at work", lambda: container.running)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.count("begin") == pod.journal.count("end") == 1


@pytest.mark.parametrize("name", STOP_SIGNALS)
@in_all_pods
def test_the_run_in_progress_is_not_signalled_by_two_stop_signals(pod: Pod, name: str) -> None:
    container = begun(pod)
    for _ in range(2):
        container.signal(name)
        time.sleep(0.05)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


def test_the_run_in_progress_is_not_signalled_by_hook_and_stop_signal(pod: Pod) -> None:
    container = begun(pod)
    pod.drain(container)
    container.signal("TERM")
    time.sleep(0.05)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


@pytest.mark.parametrize("code", [1, 3, 255])
@in_all_pods
def test_a_failing_run_ends_the_container_with_its_exit_code(pod: Pod, code: int) -> None:
    assert pod.start(pod.message(code)).wait() == code
    assert pod.journal.lines == ["begin", "end"]


def test_a_missing_program_ends_the_container_with_127(pod: Pod) -> None:
    container = pod.start(["/no/such/program"])
    assert container.wait() == 127
    assert "/no/such/program" in container.stderr


def test_a_program_that_cannot_be_executed_ends_the_container_with_126(pod: Pod) -> None:
    program = pod.program("worker", "#!/bin/sh\n")
    program.chmod(0o644)
    assert pod.start([str(program)]).wait() == 126


def test_a_killed_run_ends_the_container_with_137(pod: Pod) -> None:
    container = begun(pod)
    os.kill(container.child(), number("KILL"))
    assert container.wait() == 137


def test_a_run_that_fails_during_the_drain_ends_the_container_with_its_exit_code(pod: Pod) -> None:
    pod.journal.hold()
    container = pod.start(pod.message(5))
    pod.journal.until("begin")
    pod.drain(container)
    container.signal("TERM")
    pod.journal.release()
    assert container.wait() == 5


def test_a_successful_run_is_followed_at_once_by_the_next_one(pod: Pod, measure: Measure) -> None:
    ticks = pod.room / "ticks"
    container = pod.start(["/bin/sh", "-c", f"echo >>{ticks}"])
    until("three runs", lambda: ticks.exists() and ticks.stat().st_size >= 3)
    before, start = ticks.stat().st_size, time.monotonic()
    until("fifty more runs", lambda: ticks.stat().st_size >= before + 50)
    seconds = (time.monotonic() - start) / (ticks.stat().st_size - before)
    container.signal("TERM")
    assert container.wait() == 0
    measure("one run of an empty sh -c, all in all", seconds, pod)
    assert seconds < 0.1


@in_all_pods
def test_the_delay_stands_between_two_runs(pod: Pod) -> None:
    container = pod.start(pod.message(), setting="1")
    pod.journal.until("begin", 2)
    container.signal("TERM")
    assert container.wait() == 0
    gaps = [then - now for (now, what), (then, _) in pairwise(pod.journal.events) if what == "end"]
    assert min(gaps) >= 0.98e9


def test_there_is_no_delay_before_the_first_run(pod: Pod) -> None:
    container = pod.start(pod.message(), setting="600")
    pod.journal.until("end", within=5)
    container.signal("TERM")
    assert container.wait() == 0


@pytest.mark.parametrize("name", STOP_SIGNALS)
@in_all_pods
def test_every_stop_signal_ends_the_delay(pod: Pod, name: str) -> None:
    container = pod.start(pod.message(), setting="600")
    pod.journal.until("end")
    time.sleep(0.1)
    container.signal(name)
    assert container.wait() == 0
    assert pod.journal.count("begin") == 1


def test_a_stop_signal_ends_the_delay_at_once(pod: Pod, measure: Measure) -> None:
    container = pod.start(pod.message(), setting="600")
    pod.journal.until("end")
    time.sleep(0.1)
    sent = time.monotonic_ns()
    container.signal("TERM")
    assert container.wait() == 0
    seconds = (container.ended - sent) / 1e9
    measure("stop signal during the delay → end of the container", seconds, pod)
    assert seconds < 0.5


@in_all_pods
def test_the_kill_file_alone_ends_the_delay_within_a_second(pod: Pod, measure: Measure) -> None:
    container = pod.start(pod.message(), setting="600")
    pod.journal.until("end")
    time.sleep(0.1)
    created = time.monotonic_ns()
    pod.kill_me().touch()
    assert container.wait() == 0
    seconds = (container.ended - created) / 1e9
    measure("kill file during the delay → end of the container", seconds, pod)
    assert seconds < 2
    assert pod.journal.count("begin") == 1


@pytest.mark.parametrize("delay", [0, 600])
def test_the_container_ends_within_100_ms_of_its_last_run(pod: Pod, delay: int, measure: Measure) -> None:
    gaps = []
    for _ in range(5):
        pod.journal.path.unlink(missing_ok=True)
        container = begun(pod, delay)
        run = os.pidfd_open(container.child())
        pod.drain(container)
        container.signal("TERM")
        pod.journal.release()
        last = first_end(run)
        os.close(run)
        assert container.wait() == 0
        gaps.append((container.ended - last) / 1e9)
        measure("end of the last run → end of the container, loop", gaps[-1], pod)
    assert statistics.median(gaps) < 0.1


WITHOUT_END = (("loop", "0", ["sleep", "0.01"]), ("signal", "TERM", ["sleep", "600"]))
DELAYS = (0, 0.3, 0.6, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30)


def sleep_exactly(since: int, milliseconds: float) -> None:
    while time.monotonic_ns() < since + milliseconds * 1e6:
        pass


@pytest.mark.parametrize(("mode", "mode_setting", "argv"), WITHOUT_END)
def test_a_stop_signal_in_the_first_milliseconds_is_not_lost(
    pod: Pod, mode: str, mode_setting: str, argv: list[str], measure: Measure
) -> None:
    for delay in DELAYS:
        worker = f"worker-{delay}"
        container = pod.start(argv, mode, mode_setting, name=worker)
        sleep_exactly(time.monotonic_ns(), delay)
        ready = has_handlers(pod, container, worker)
        container.signal("TERM")
        if pod.setting is Setting.INIT and not ready:
            # The kernel keeps signals without a handler from an init: the runtime's SIGKILL is what is left.
            container.remove()
            measure("init deaf to stop signals for at least", delay / 1000, pod)
        else:
            assert container.wait(5) in {0, 128 + number("TERM")}, f"{delay} ms"


def test_the_hook_and_a_stop_signal_20_ms_later_always_end_the_loop(pod: Pod) -> None:
    for delay in DELAYS[::3]:
        container = pod.start(["sleep", "0.01"])
        sleep_exactly(time.monotonic_ns(), delay)
        pod.pre_stop(container).wait()
        time.sleep(0.02)
        container.signal("TERM")
        container.wait(5)


def test_stop_signals_are_heard_as_soon_as_the_shell_has_read_the_script(pod: Pod, measure: Measure) -> None:
    for worker in "abcde":
        container = pod.start(["sleep", "0.1"], name=worker)
        start = time.monotonic_ns()
        while not has_handlers(pod, container, worker):
            assert time.monotonic_ns() < start + LONG * 1e9
        measure("start of the shell → stop signals are heard", (time.monotonic_ns() - start) / 1e9, pod)
        container.signal("TERM")
        container.wait()


@pytest.mark.parametrize(("mode", "mode_setting"), [("loop", "0"), ("signal", "TERM"), ("signal", "USR1")])
@in_all_pods
def test_a_stop_signal_before_the_worker_has_started_means_that_it_never_starts(
    pod: Pod, mode: str, mode_setting: str
) -> None:
    here, go = pod.room / "here", pod.room / "go"
    wait = f"touch {here}; until [ -e {go} ]; do sleep 0.01; done"
    pod.tool("mkdir", f'#!/bin/sh\n{wait}\nexec {shutil.which("mkdir")} "$@"\n')
    container = pod.start(pod.message(), mode, mode_setting)
    until("the wrapper at its preparations", here.exists)
    container.signal("TERM")
    go.touch()
    assert container.wait() == 0
    assert pod.journal.lines == []
