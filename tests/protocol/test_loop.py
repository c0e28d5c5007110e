"""Loop mode, rules 2, 3, 5, 8 and 9: when a run starts, when it does not start, and how the container ends."""

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
    """Start a loop, and return it when its first run has a message, which lasts until the journal releases it."""
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
def test_only_one_run_is_active_at_a_time(pod: Pod) -> None:
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
def test_the_run_in_progress_continues_when_the_kill_file_appears(pod: Pod) -> None:
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


@pytest.mark.parametrize("name", ["WINCH", "USR1", "RTMIN"])
@in_all_pods
def test_the_images_stop_signal_ends_the_loop_after_the_run(pod: Pod, name: str) -> None:
    pod.journal.hold()
    container = pod.start_loop(pod.message(), stop_signal=name)
    pod.journal.until("begin")
    container.signal(name)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


@pytest.mark.parametrize("name", STOP_SIGNALS)
@in_all_pods
def test_two_stop_signals_do_not_reach_the_run_in_progress(pod: Pod, name: str) -> None:
    container = loop_in_message(pod)
    for _ in range(2):
        container.signal(name)
        time.sleep(0.05)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


@in_all_pods
def test_the_run_in_progress_survives_stop_signals_in_quick_succession(pod: Pod) -> None:
    container = loop_in_message(pod)
    container.signal_in_quick_succession("TERM")
    assert_stays("a run at work", lambda: container.running, 0.5)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]


@in_all_pods
def test_the_hook_and_a_stop_signal_do_not_reach_the_run_in_progress(pod: Pod) -> None:
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
def test_the_next_run_starts_at_once_after_a_successful_run(pod: Pod, measure: Measure) -> None:
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
    used, start = container.cpu_seconds(), time.monotonic()

    def is_slow() -> bool:
        before = ticks.stat().st_size
        time.sleep(1.5)
        return 1 <= ticks.stat().st_size - before <= 5

    # On a busy machine, such a run may take a tenth of a second; then the next ten runs are quick again.
    until("five runs at most in 1.5 s", is_slow, within=2 * LONG, poll=0)
    seconds = (container.cpu_seconds() - used) / (time.monotonic() - start)
    measure("processor time in each second of runs that end at once", seconds, pod)
    container.signal("TERM")
    assert container.wait() == 0


@in_all_pods
def test_a_run_that_does_not_end_at_once_ends_the_slowdown(pod: Pod) -> None:
    """Ten runs have nothing to do, then one works, then ten follow each other as quickly as at the beginning."""
    runs = pod.directory / "runs"
    record = f"read -r now rest </proc/uptime; echo $now >>{runs}"
    script = f"{record}; [ $(wc -l <{runs}) -ne 12 ] || sleep 0.2; [ $(wc -l <{runs}) -lt 20 ] || exit 3"
    container = pod.start_loop(["/bin/sh", "-c", script])
    assert container.wait(2 * LONG) == 3
    times = [float(line) for line in runs.read_text().splitlines()]
    # With the slowdown, each of them would start half a second after the previous one.
    assert min(then - now for now, then in pairwise(times[12:])) < 0.5


@in_all_pods
def test_the_delay_separates_two_runs(pod: Pod) -> None:
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
    """Return whether the script has set its handlers; until then, the kernel delivers no stop signals to an init."""
    # mksh has handlers of its own from its start, and survives the signals as an init; ours are set before the FIFO.
    if pod.name == "mksh":
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
            # The kernel delivers no signal without a handler to an init; only the runtime's SIGKILL can end it.
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
    # mksh itself exits at the signal.
    assert container.wait() == (128 + number("TERM") if pod.name == "mksh" else 0)
    assert pod.journal.lines == []


def test_stop_signals_are_handled_as_soon_as_the_shell_has_read_the_script(pod: Pod, measure: Measure) -> None:
    for worker in "abc":
        container = pod.start_loop(["sleep", "0.1"], name=worker)
        start = time.monotonic_ns()
        while not has_handlers(pod, container, worker):
            assert time.monotonic_ns() < start + LONG * 1e9
        measure("start of the shell → stop signals are heard, loop", (time.monotonic_ns() - start) / 1e9, pod)
        container.signal("TERM")
        container.wait()


@in_all_pods
def test_after_a_stop_signal_before_its_start_the_worker_never_starts(pod: Pod) -> None:
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
def test_a_pkill_of_the_workers_command_line_signals_the_run_and_does_not_kill_the_loop(pod: Pod) -> None:
    """Users' hooks do this, and our own command line contains the worker's."""
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
def test_the_loop_drains_in_an_image_without_a_helper_program(pod: Pod, missing: str) -> None:
    if (pod.name, missing) == ("bash", "env"):
        pytest.skip("its command -v also finds files that are not executable, such as programs that these tests hide")
    pod.hide_programs(missing)
    container = loop_in_message(pod)
    pod.drain(container)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]
    assert container.stderr == ""


@in_all_pods
def test_the_loop_drains_if_path_does_not_contain_bin(pod: Pod) -> None:
    pod.environment["PATH"] = str(pod.programs)
    container = loop_in_message(pod)
    pod.drain(container)
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]
    assert container.stderr == ""


@in_all_pods
def test_the_loop_drains_if_sleep_supports_only_whole_seconds(pod: Pod) -> None:
    pod.install_sleep_without_fractions()
    container = pod.start_loop(["/bin/true"])
    time.sleep(0.3)
    pod.drain(container)
    assert container.wait() == 0


# The termination message

LONGER_THAN_TEN_MILLISECONDS = ["/bin/sh", "-c", "sleep 0.02"]


@dataclass(frozen=True)
class DrainMessage:
    """The values of a termination message; the durations are in seconds."""

    drain: int
    is_bound: bool
    runs: int
    longest: int


def read_drain_message(pod: Pod, worker: str = "worker") -> DrainMessage:
    """Read the termination message that a loop has written."""
    text = pod.message_file(worker).read_text()
    pattern = r"graceful-worker: loop drained in (up to )?(\d+) s; runs: (\d+), longest: (\d+) s\n"
    found = re.fullmatch(pattern, text)
    assert found, text
    return DrainMessage(int(found[2]), bool(found[1]), int(found[3]), int(found[4]))


def first_run_of(pod: Pod, seconds: float) -> list[str]:
    """Return a worker whose first run takes the given time, and whose later runs are short."""
    once = pod.directory / "once"
    script = f"if [ -e {once} ]; then sleep 0.02; else >{once}; sleep {seconds}; fi; echo '0 end' >>{pod.journal.path}"
    return ["/bin/sh", "-c", script]


@in_all_pods
def test_the_termination_message_has_the_duration_of_the_drain(pod: Pod) -> None:
    container = loop_in_message(pod)
    time.sleep(1)
    drained = time.monotonic()
    pod.drain(container)
    container.signal("TERM")
    time.sleep(1.2)
    pod.journal.release()
    assert container.wait() == 0
    message = read_drain_message(pod)
    # The hook records the current tenth of a second, and the message rounds the duration up.
    assert 1.2 <= message.drain <= math.ceil(container.ended / 1e9 - drained + 0.2)
    assert not message.is_bound
    assert message.longest > message.drain


@in_all_pods
def test_a_drain_without_a_recorded_start_is_measured_from_the_start_of_its_last_run(pod: Pod) -> None:
    """A shell handles a signal only after the run in the foreground; a kill file from elsewhere contains no time."""
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
def test_a_drain_that_starts_between_two_runs_is_not_measured_from_the_last_run(pod: Pod) -> None:
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
def test_the_termination_message_has_the_number_of_runs_and_the_duration_of_the_longest(pod: Pod) -> None:
    container = pod.start_loop(first_run_of(pod, 1.1))
    pod.journal.until("end", 4)
    container.signal("TERM")
    assert container.wait() == 0
    message = read_drain_message(pod)
    assert message.runs == pod.journal.count("end")
    assert 2 <= message.longest <= math.ceil(container.seconds)


@in_all_pods
def test_a_restarted_container_counts_its_runs_from_zero(pod: Pod) -> None:
    for delay in (0, 600):
        container = pod.start_loop(first_run_of(pod, 1.1), delay)
        before = pod.journal.count("end")
        pod.journal.until("end", before + 1)
        pod.drain(container)
        assert container.wait() == 0
        assert read_drain_message(pod).runs == pod.journal.count("end") - before
    assert read_drain_message(pod).longest == 1


@in_all_pods
def test_the_workers_own_termination_message_is_kept(pod: Pod) -> None:
    container = pod.start_loop(["/bin/sh", "-c", f"echo own >{pod.message_file()}; sleep 0.02"])
    until("a message", lambda: pod.message_file().stat().st_size)
    pod.drain(container)
    assert container.wait() == 0
    assert pod.message_file().read_text() == "own\n"


@in_all_pods
def test_a_loop_that_ends_outside_a_drain_writes_no_termination_message(pod: Pod) -> None:
    assert pod.start_loop(["/bin/sh", "-c", "sleep 0.02; exit 3"]).wait() == 3
    assert pod.message_file().read_text() == ""


@in_all_pods
def test_a_run_that_fails_during_the_drain_leaves_the_termination_message_empty(pod: Pod) -> None:
    """With terminationMessagePolicy FallbackToLogsOnError, the kubelet then uses the end of the log."""
    pod.journal.hold()
    container = pod.start_loop(pod.message(5))
    pod.journal.until("begin")
    pod.drain(container)
    pod.journal.release()
    assert container.wait() == 5
    assert pod.message_file().read_text() == ""


@in_all_pods
def test_a_loop_without_a_run_writes_no_termination_message(pod: Pod) -> None:
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
def test_a_termination_message_that_cannot_be_written_changes_nothing(pod: Pod, file: str) -> None:
    container = pod.start_loop(LONGER_THAN_TEN_MILLISECONDS, message_file=Path(file))
    time.sleep(0.1)
    pod.drain(container)
    assert container.wait() == 0
    assert container.stderr == ""
    assert not Path("/no").exists()


@in_all_pods
def test_a_missing_termination_message_file_is_not_created(pod: Pod) -> None:
    container = pod.start_loop(LONGER_THAN_TEN_MILLISECONDS, message_file=pod.directory / "missing")
    time.sleep(0.1)
    pod.drain(container)
    assert container.wait() == 0
    assert not (pod.directory / "missing").exists()


@in_all_pods
def test_the_termination_message_file_can_have_any_name(pod: Pod) -> None:
    file = pod.directory / ' it\'s $(HOME) "$$" `x`\\n;*\n.'
    file.touch(0o666)
    container = pod.start_loop(LONGER_THAN_TEN_MILLISECONDS, 1, message_file=file)
    time.sleep(0.3)
    pod.drain(container)
    assert container.wait() == 0
    assert file.read_text().startswith("graceful-worker: loop drained in ")
    assert container.stderr == ""


@in_all_pods
def test_a_run_creates_only_one_process(pod: Pod) -> None:
    if pod.setting is not Setting.INIT:
        pytest.skip("only in a PID namespace of its own are the PIDs consecutive")
    numbers = pod.directory / "numbers"
    container = pod.start_loop(["/bin/sh", "-c", f"echo $$$$ >>{numbers}"])
    until("eight runs", lambda: numbers.exists() and numbers.read_text().count("\n") >= 8)
    container.signal("TERM")
    container.wait()
    runs = [int(line) for line in numbers.read_text().splitlines()[:8]]
    assert {then - now for now, then in pairwise(runs)} == {1}
