"""Loop mode, rules 2, 3, 5, 8 and 9: when a run begins, when none does, and how the container ends."""

from __future__ import annotations

import math
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from .measurements import Measure
from .pods import (
    LONG,
    STOP_SIGNALS,
    Pod,
    Process,
    Setting,
    assert_stays,
    first_end,
    has_handler,
    in_all_pods,
    number,
    require_program,
    until,
)


def loop_in_message(pod: Pod, delay: int = 0) -> Process:
    """Start a loop, and return it when its first run is at a message, which takes until the journal releases it."""
    pod.journal.hold()
    container = pod.start_loop(pod.message(), delay)
    pod.journal.until("begin")
    return container


@in_all_pods
def test_runs_follow_each_other_until_the_kill_file_exists(pod: Pod) -> None:
    container = pod.start_loop(pod.message())
    pod.journal.until("end", 3)
    pod.kill_me().touch()
    assert container.wait() == 0
    assert pod.journal.count("begin") == pod.journal.count("end")


@in_all_pods
def test_one_run_is_at_work_at_a_time(pod: Pod) -> None:
    container = pod.start_loop(pod.message())
    pod.journal.until("end", 3)
    pod.drain(container)
    container.wait()
    lines = pod.journal.lines
    assert lines == ["begin", "end"] * (len(lines) // 2)


@in_all_pods
def test_no_run_starts_once_the_kill_file_exists(pod: Pod) -> None:
    container = loop_in_message(pod)
    pod.kill_me().touch()
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


@in_all_pods
def test_the_run_in_progress_goes_on_when_the_kill_file_appears(pod: Pod) -> None:
    container = loop_in_message(pod)
    pod.kill_me().touch()
    assert_stays("a run at work", lambda: container.running and pod.journal.lines == ["begin"])


@pytest.mark.parametrize("name", STOP_SIGNALS)
@in_all_pods
def test_a_stop_signal_without_a_hook_ends_the_loop_after_the_run(pod: Pod, name: str) -> None:
    container = loop_in_message(pod)
    container.signal(name)
    assert_stays("a run at work", lambda: container.running)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.count("begin") == pod.journal.count("end") == 1


@pytest.mark.parametrize("name", STOP_SIGNALS)
@in_all_pods
def test_the_run_in_progress_is_not_signalled_by_two_stop_signals(pod: Pod, name: str) -> None:
    container = loop_in_message(pod)
    for _ in range(2):
        container.signal(name)
        time.sleep(0.05)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


@in_all_pods
def test_the_run_in_progress_outlives_stop_signals_in_quick_succession(pod: Pod) -> None:
    container = loop_in_message(pod)
    container.signal_in_quick_succession("TERM")
    assert_stays("a run at work", lambda: container.running, 0.5)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


@in_all_pods
def test_the_run_in_progress_is_not_signalled_by_hook_and_stop_signal(pod: Pod) -> None:
    container = loop_in_message(pod)
    pod.drain(container)
    container.signal("TERM")
    time.sleep(0.05)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


@pytest.mark.parametrize("code", [1, 3, 255])
@in_all_pods
def test_a_failing_run_ends_the_container_with_its_exit_code(pod: Pod, code: int) -> None:
    assert pod.start_loop(pod.message(code)).wait() == code
    assert pod.journal.lines == ["begin", "end"]


@in_all_pods
def test_a_missing_program_ends_the_container_with_127(pod: Pod) -> None:
    container = pod.start_loop(["/no/such/program"])
    assert container.wait() == 127
    assert "/no/such/program" in container.stderr


@in_all_pods
def test_a_program_that_cannot_be_executed_ends_the_container_with_126(pod: Pod) -> None:
    program = pod.program("worker", "#!/bin/sh\n")
    program.chmod(0o644)
    assert pod.start_loop([str(program)]).wait() == 126


@in_all_pods
def test_a_killed_run_ends_the_container_with_137(pod: Pod) -> None:
    container = loop_in_message(pod)
    os.kill(container.child(), number("KILL"))
    assert container.wait() == 137


@in_all_pods
def test_a_run_that_fails_during_the_drain_ends_the_container_with_its_exit_code(pod: Pod) -> None:
    pod.journal.hold()
    container = pod.start_loop(pod.message(5))
    pod.journal.until("begin")
    pod.drain(container)
    container.signal("TERM")
    pod.journal.release()
    assert container.wait() == 5


@in_all_pods
def test_a_successful_run_is_followed_at_once_by_the_next_one(pod: Pod, measure: Measure) -> None:
    container = pod.start_loop(["/bin/sh", "-c", f"sleep 0.12; echo >>{pod.directory}/ticks"])
    ticks = pod.directory / "ticks"
    until("a run", lambda: ticks.exists() and ticks.stat().st_size >= 1)
    before, start = ticks.stat().st_size, time.monotonic()
    until("five more runs", lambda: ticks.stat().st_size >= before + 5)
    seconds = (time.monotonic() - start) / (ticks.stat().st_size - before)
    container.signal("TERM")
    assert container.wait() == 0
    measure("one run of sh -c 'sleep 0.12', all in all", seconds, pod)
    assert seconds < 1


@in_all_pods
def test_runs_that_end_at_once_are_slowed_down(pod: Pod, measure: Measure) -> None:
    ticks = pod.directory / "ticks"
    container = pod.start_loop(["/bin/sh", "-c", f"echo >>{ticks}"])
    until("ten runs", lambda: ticks.exists() and ticks.stat().st_size >= 10)
    time.sleep(0.5)
    used, start = container.processor_seconds(), time.monotonic()

    def is_slow() -> bool:
        before = ticks.stat().st_size
        time.sleep(1.5)
        return 1 <= ticks.stat().st_size - before <= 5

    # On a busy machine such a run may take its tenth of a second: then come ten quick ones again.
    until("five runs at most in 1.5 s", is_slow, within=2 * LONG, poll=0)
    seconds = (container.processor_seconds() - used) / (time.monotonic() - start)
    measure("processor time in each second of runs that end at once", seconds, pod)
    container.signal("TERM")
    assert container.wait() == 0


@in_all_pods
def test_runs_that_do_not_end_at_once_end_the_slowness(pod: Pod) -> None:
    """Ten runs that find nothing to do, then one that works, then ten that are as quick as before."""
    runs = pod.directory / "runs"
    note = f"read -r now rest </proc/uptime; echo $now >>{runs}"
    script = f"{note}; [ $(wc -l <{runs}) -ne 12 ] || sleep 0.2; [ $(wc -l <{runs}) -lt 20 ] || exit 3"
    container = pod.start_loop(["/bin/sh", "-c", script])
    assert container.wait(2 * LONG) == 3
    times = [float(line) for line in runs.read_text().splitlines()]
    # Every one would have half a second before it.
    assert min(then - now for now, then in pairwise(times[12:])) < 0.5


@in_all_pods
def test_the_delay_stands_between_two_runs(pod: Pod) -> None:
    container = pod.start_loop(pod.message(), 1)
    pod.journal.until("begin", 2)
    container.signal("TERM")
    assert container.wait() == 0
    gaps = [then - now for (now, what), (then, _) in pairwise(pod.journal.events) if what == "end"]
    assert min(gaps) >= 0.98e9


@in_all_pods
def test_there_is_no_delay_before_the_first_run(pod: Pod) -> None:
    container = pod.start_loop(pod.message(), 600)
    pod.journal.until("end", within=5)
    container.signal("TERM")
    assert container.wait() == 0


@pytest.mark.parametrize("name", STOP_SIGNALS)
@in_all_pods
def test_every_stop_signal_ends_the_delay(pod: Pod, name: str) -> None:
    container = pod.start_loop(pod.message(), 600)
    pod.journal.until("end")
    time.sleep(0.1)
    container.signal(name)
    assert container.wait() == 0
    assert pod.journal.count("begin") == 1


def test_a_stop_signal_ends_the_delay_at_once(pod: Pod, measure: Measure) -> None:
    container = pod.start_loop(pod.message(), 600)
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
    container = pod.start_loop(pod.message(), 600)
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
    container = loop_in_message(pod, delay)
    run = os.pidfd_open(container.child())
    pod.drain(container)
    container.signal("TERM")
    pod.journal.release()
    last = first_end(run)
    os.close(run)
    assert container.wait() == 0
    seconds = (container.ended - last) / 1e9
    measure("end of the last run → end of the container, loop", seconds, pod)
    assert seconds < 0.4


DELAYS = (0, 1.5, 4, 10, 25)


def busy_wait(since: int, milliseconds: float) -> None:
    while time.monotonic_ns() < since + milliseconds * 1e6:
        pass


def has_handlers(pod: Pod, container: Process, worker: str) -> bool:
    """Tell whether the script's handlers are in place, so that the kernel lets an init have the stop signals."""
    if pod.name == "mksh":  # catches them from its start, but as an init survives them; the FIFO is made behind ours
        return pod.alive(worker).exists()
    return all(has_handler(container.pid, name) for name in STOP_SIGNALS)


@pytest.mark.parametrize("start", [Pod.start_loop, Pod.start_parent], ids=["loop", "parent"])
def test_a_stop_signal_in_the_first_milliseconds_is_not_lost(
    pod: Pod, start: Callable[..., Process], measure: Measure
) -> None:
    argv = ["sleep", "0.01" if start is Pod.start_loop else "600"]
    options = {} if start is Pod.start_loop else {"grace": 0}
    for delay in DELAYS:
        worker = f"worker-{delay}"
        container = start(pod, argv, name=worker, **options)
        busy_wait(time.monotonic_ns(), delay)
        ready = has_handlers(pod, container, worker)
        container.signal("TERM")
        if pod.setting is Setting.INIT and not ready:
            # The kernel keeps signals without a handler from an init: the runtime's SIGKILL is what is left.
            container.remove()
            measure("init without signal handlers for at least", delay / 1000, pod)
        else:
            assert container.wait(5) in {0, 128 + number("TERM"), 128 + number("KILL")}, f"{delay} ms"


@in_all_pods
def test_the_hook_and_a_stop_signal_20_ms_later_always_end_the_loop(pod: Pod) -> None:
    for delay in DELAYS[::2]:
        container = pod.start_loop(["sleep", "0.01"])
        busy_wait(time.monotonic_ns(), delay)
        pod.drain(container)
        time.sleep(0.02)
        container.signal("TERM")
        container.wait(5)


@in_all_pods
def test_a_pod_deleted_before_the_loop_has_handlers_starts_no_worker(pod: Pod) -> None:
    container = pod.delete_before_handlers(lambda: pod.start_loop(pod.message()))
    # mksh itself ends at the signal.
    assert container.wait() == (128 + number("TERM") if pod.name == "mksh" else 0)
    assert pod.journal.lines == []


def test_stop_signals_are_heard_as_soon_as_the_shell_has_read_the_script(pod: Pod, measure: Measure) -> None:
    for worker in "abc":
        container = pod.start_loop(["sleep", "0.1"], name=worker)
        start = time.monotonic_ns()
        while not has_handlers(pod, container, worker):
            assert time.monotonic_ns() < start + LONG * 1e9
        measure("start of the shell → stop signals are heard, loop", (time.monotonic_ns() - start) / 1e9, pod)
        container.signal("TERM")
        container.wait()


@in_all_pods
def test_a_stop_signal_before_the_worker_has_started_means_that_it_never_starts(pod: Pod) -> None:
    pod.skip_where_applets_come_first()
    here, go = pod.directory / "here", pod.directory / "go"
    wait = f"touch {here}; until [ -e {go} ]; do sleep 0.01; done"
    pod.tool("mkdir", f'#!/bin/sh\n{wait}\nexec {shutil.which("mkdir")} "$@"\n')
    container = pod.start_loop(pod.message())
    until("the wrapper at its preparations", here.exists)
    container.signal("TERM")
    go.touch()
    assert container.wait() == 0
    assert pod.journal.lines == []


@in_all_pods
def test_a_pkill_of_the_workers_command_line_ends_the_run_and_not_the_loop_at_once(pod: Pod) -> None:
    """As users' hooks do: our own command line contains the worker's."""
    container = loop_in_message(pod)
    shell = f"pkill -f {pod.journal.path}"
    assert pod.exec(container, [require_program("pkill"), *shell.split()[1:]]).wait() == 0
    pod.journal.until("signal TERM")
    assert_stays("a run at work", lambda: container.running)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "signal TERM", "end"]


@pytest.mark.parametrize("missing", ["mkfifo", "tr", "env"])
@in_all_pods
def test_the_loop_drains_in_an_image_without(pod: Pod, missing: str) -> None:
    if (pod.name, missing) == ("bash", "env"):
        pytest.skip("its command -v finds what cannot be executed, as which these tests hide a program")
    pod.hide_programs(missing)
    container = loop_in_message(pod)
    pod.drain(container)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]
    assert container.stderr == ""


@in_all_pods
def test_the_loop_drains_where_path_has_no_bin(pod: Pod) -> None:
    pod.environment["PATH"] = str(pod.programs)
    container = loop_in_message(pod)
    pod.drain(container)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]
    assert container.stderr == ""


@in_all_pods
def test_the_loop_drains_where_sleep_knows_whole_seconds_only(pod: Pod) -> None:
    pod.sleep_whole_seconds_only()
    container = pod.start_loop(["/bin/true"])
    time.sleep(0.3)
    pod.drain(container)
    assert container.wait() == 0


# The termination message

NOT_BEFORE_TEN_MILLISECONDS = ["/bin/sh", "-c", "sleep 0.02"]


@dataclass(frozen=True)
class DrainMessage:
    """What a termination message says, in seconds."""

    drain: int
    is_bound: bool
    runs: int
    longest: int


def read_drain_message(pod: Pod, worker: str = "worker") -> DrainMessage:
    """Read the line that a loop has left."""
    said = pod.message_file(worker).read_text()
    pattern = r"graceful-worker: loop drained in (up to )?(\d+) s; runs: (\d+), longest: (\d+) s\n"
    found = re.fullmatch(pattern, said)
    assert found, said
    return DrainMessage(int(found[2]), bool(found[1]), int(found[3]), int(found[4]))


def first_run_of(pod: Pod, seconds: float) -> list[str]:
    """Return a worker whose first run takes its time; the later ones take little."""
    once = pod.directory / "once"
    script = f"if [ -e {once} ]; then sleep 0.02; else >{once}; sleep {seconds}; fi; echo '0 end' >>{pod.journal.path}"
    return ["/bin/sh", "-c", script]


@in_all_pods
def test_a_drained_loop_says_how_long_its_drain_took(pod: Pod) -> None:
    container = loop_in_message(pod)
    time.sleep(1)
    drained = time.monotonic()
    pod.drain(container)
    container.signal("TERM")
    time.sleep(1.2)
    pod.journal.release()
    assert container.wait() == 0
    message = read_drain_message(pod)
    # The hook writes down the tenth of a second that has begun, and says is what is rounded up.
    assert 1.2 <= message.drain <= math.ceil(container.ended / 1e9 - drained + 0.2)
    assert not message.is_bound
    assert message.longest > message.drain


@in_all_pods
def test_a_drain_whose_begin_nobody_wrote_down_is_counted_from_its_last_run(pod: Pod) -> None:
    """A shell handles a signal after the run in the foreground; a kill file written by others has no time."""
    ways: dict[str, Callable[[Process], object]] = {
        "signal": lambda container: container.signal("TERM"),
        "file": lambda _: pod.kill_me("file").touch(),
        "words": lambda _: pod.kill_me("words").write_text("08 a[$(>/injected)]"),
    }
    for name, drain in ways.items():
        drained = pod.journal.path.with_name(f"drained-{name}")
        # The run lasts until the drain has begun, however busy the machine.
        run = 'sleep 1.1; until [ -e "$0" ]; do sleep 0.1; done'
        container = pod.start_loop(["/bin/sh", "-c", run, str(drained)], name=name)
        container.worker("1.1")
        drain(container)
        drained.touch()
        assert container.wait() == 0
        message = read_drain_message(pod, name)
        assert (message.is_bound, message.runs) == (True, 1)
        assert 1.1 <= message.drain <= math.ceil(container.seconds)


@in_all_pods
def test_a_drain_that_begins_between_two_runs_is_not_counted_from_the_last_one(pod: Pod) -> None:
    container = pod.start_loop(first_run_of(pod, 1.2), 600)
    pod.journal.until("end")
    time.sleep(2)
    drained = time.monotonic()
    pod.drain(container)
    assert container.wait() == 0
    message = read_drain_message(pod)
    assert not message.is_bound
    assert message.drain <= math.ceil(container.ended / 1e9 - drained + 0.2)
    assert message.longest >= 2


@in_all_pods
def test_a_drained_loop_says_how_many_runs_it_had_and_how_long_the_longest_took(pod: Pod) -> None:
    container = pod.start_loop(first_run_of(pod, 1.1))
    pod.journal.until("end", 4)
    container.signal("TERM")
    assert container.wait() == 0
    message = read_drain_message(pod)
    assert message.runs == pod.journal.count("end")
    assert 2 <= message.longest <= math.ceil(container.seconds)


@in_all_pods
def test_a_container_that_is_restarted_counts_anew(pod: Pod) -> None:
    for delay in (0, 600):
        container = pod.start_loop(first_run_of(pod, 1.1), delay)
        before = pod.journal.count("end")
        pod.journal.until("end", before + 1)
        pod.drain(container)
        assert container.wait() == 0
        assert read_drain_message(pod).runs == pod.journal.count("end") - before
    assert read_drain_message(pod).longest == 1


@in_all_pods
def test_a_message_of_the_workers_own_stays(pod: Pod) -> None:
    container = pod.start_loop(["/bin/sh", "-c", f"echo own >{pod.message_file()}; sleep 0.02"])
    until("a message", lambda: pod.message_file().stat().st_size)
    pod.drain(container)
    assert container.wait() == 0
    assert pod.message_file().read_text() == "own\n"


@in_all_pods
def test_a_loop_that_ends_outside_a_drain_leaves_no_message(pod: Pod) -> None:
    assert pod.start_loop(["/bin/sh", "-c", "sleep 0.02; exit 3"]).wait() == 3
    assert pod.message_file().read_text() == ""


@in_all_pods
def test_a_run_that_fails_during_the_drain_leaves_its_log_to_speak(pod: Pod) -> None:
    """By terminationMessagePolicy, the kubelet takes the end of the log where an error left no message."""
    pod.journal.hold()
    container = pod.start_loop(pod.message(5))
    pod.journal.until("begin")
    pod.drain(container)
    pod.journal.release()
    assert container.wait() == 5
    assert pod.message_file().read_text() == ""


@in_all_pods
def test_a_loop_that_has_had_no_run_leaves_no_message(pod: Pod) -> None:
    pod.skip_where_applets_come_first()
    here, go = pod.directory / "here", pod.directory / "go"
    wait = f"touch {here}; until [ -e {go} ]; do sleep 0.01; done"
    pod.tool("mkdir", f'#!/bin/sh\n{wait}\nexec {shutil.which("mkdir")} "$@"\n')
    container = pod.start_loop(["sleep", "1"])
    until("the wrapper at its preparations", here.exists)
    container.signal("TERM")
    go.touch()
    assert container.wait() == 0
    assert pod.message_file().read_text() == ""


@pytest.mark.parametrize("file", ["/no/such/file", "/proc/version", "/proc"])
@in_all_pods
def test_a_message_that_cannot_be_written_changes_nothing(pod: Pod, file: str) -> None:
    container = pod.start_loop(NOT_BEFORE_TEN_MILLISECONDS, message_file=Path(file))
    time.sleep(0.1)
    pod.drain(container)
    assert container.wait() == 0
    assert container.stderr == ""
    assert not Path("/no").exists()


@in_all_pods
def test_no_message_is_written_to_a_file_that_is_not_there(pod: Pod) -> None:
    container = pod.start_loop(NOT_BEFORE_TEN_MILLISECONDS, message_file=pod.directory / "missing")
    time.sleep(0.1)
    pod.drain(container)
    assert container.wait() == 0
    assert not (pod.directory / "missing").exists()


@in_all_pods
def test_the_message_reaches_a_file_of_any_name(pod: Pod) -> None:
    file = pod.directory / ' it\'s $(HOME) "$$" `x`\\n;*\n.'
    file.touch(0o666)
    container = pod.start_loop(NOT_BEFORE_TEN_MILLISECONDS, 1, message_file=file)
    time.sleep(0.3)
    pod.drain(container)
    assert container.wait() == 0
    assert file.read_text().startswith("graceful-worker: loop drained in ")
    assert container.stderr == ""


@in_all_pods
def test_a_run_takes_one_process(pod: Pod) -> None:
    if pod.setting is not Setting.INIT:
        pytest.skip("processes have numbers of their own in a PID namespace alone")
    numbers = pod.directory / "numbers"
    container = pod.start_loop(["/bin/sh", "-c", f"echo $$$$ >>{numbers}"])
    until("eight runs", lambda: numbers.exists() and numbers.read_text().count("\n") >= 8)
    container.signal("TERM")
    container.wait()
    runs = [int(line) for line in numbers.read_text().splitlines()[:8]]
    assert {then - now for now, then in pairwise(runs)} == {1}
