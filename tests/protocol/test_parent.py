"""The parent of a command that may not handle signals: it forwards a signal only to a process with a handler."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from .measurements import Measure
from .pods import (
    PYTHON,
    Pod,
    Process,
    Setting,
    assert_stays,
    first_end,
    has_handler,
    in_all_pods,
    now,
    number,
    require_program,
    signal_sets,
    until,
)

WITH_HANDLER = ("handler", "sigwait", "blocked")
WITHOUT_HANDLER = ("unhandled", "ignored")


def ready(pod: Pod, name: str = "TERM", code: int = 0, how: str = "handler", **options: Any) -> Process:
    """Start a container with a parent, and return it when its command has set how it handles a signal."""
    container = pod.start_parent(pod.consumer(name, code, how), **options)
    pod.journal.until("ready")
    return container


def received_signals(pod: Pod) -> list[str]:
    return [line for line in pod.journal.lines if line.startswith(("heard", "child got"))]


# The end of the command


def without_mkfifo(pod: Pod) -> None:
    pod.hide_programs("mkfifo")


def without_volume(pod: Pod) -> None:
    if pod.name == "brought":
        pytest.skip("the shell is in the volume")
    pod.volume.rmdir()
    pod.volume.touch()


def unchanged(pod: Pod) -> None:
    pass


OF_THE_C_LIBRARY = 0b11 << 31
"""Two signals that glibc reserves; its posix_spawn, with which make starts its commands, leaves them ignored."""
WAYS = pytest.mark.parametrize("way", [unchanged, without_mkfifo, without_volume], ids=lambda way: way.__name__)


@WAYS
@pytest.mark.parametrize("code", [0, 7])
@in_all_pods
def test_the_container_has_the_exit_code_of_the_command(pod: Pod, way: Callable[[Pod], None], code: int) -> None:
    way(pod)
    assert pod.start_parent(["/bin/sh", "-c", f"exit {code}"]).wait() == code


@WAYS
@in_all_pods
def test_a_missing_program_ends_the_container_with_127(pod: Pod, way: Callable[[Pod], None]) -> None:
    way(pod)
    container = pod.start_parent(["/no/such/program"])
    assert container.wait() == 127
    assert "/no/such/program" in container.stderr


@in_all_pods
def test_a_program_that_cannot_be_executed_ends_the_container_with_126(pod: Pod) -> None:
    program = pod.program("worker", "#!/bin/sh\n")
    program.chmod(0o644)
    assert pod.start_parent([str(program)]).wait() == 126


@pytest.mark.parametrize("name", ["KILL", "SEGV", "TERM"])
@in_all_pods
def test_a_command_killed_by_a_signal_ends_the_container_with_128_plus_the_signals_number(pod: Pod, name: str) -> None:
    container = pod.start_parent(["sleep", "600"])
    os.kill(container.worker("600"), number(name))
    assert container.wait() == 128 + number(name)


@WAYS
@in_all_pods
def test_after_signals_the_container_has_the_exit_code_of_the_command(pod: Pod, way: Callable[[Pod], None]) -> None:
    way(pod)
    pod.journal.hold()
    container = ready(pod, code=7)
    for name in ("WINCH", "TERM", "USR2", "TERM"):
        container.signal(name)
        time.sleep(0.05)
    pod.journal.until("heard")
    pod.journal.release()
    assert container.wait() == 7


@WAYS
@in_all_pods
def test_stop_signals_in_quick_succession_do_not_end_the_container_before_its_command(
    pod: Pod, way: Callable[[Pod], None]
) -> None:
    if pod.name == "yash" and way is not unchanged:
        pytest.skip("yash 2.52 may stop running handlers after dozens of signals while it waits for a process")
    way(pod)
    pod.journal.hold()
    container = ready(pod, code=7)
    for name in ("USR2", "TERM"):
        container.signal_in_quick_succession(name)
    pod.journal.until("heard")
    assert_stays("the message in work", lambda: container.running, 0.5)
    pod.journal.release()
    assert container.wait() == 7


# Commands that handle the signal


@pytest.mark.parametrize("how", WITH_HANDLER)
@WAYS
@in_all_pods
def test_a_command_that_handles_the_signal_gets_it_once(pod: Pod, way: Callable[[Pod], None], how: str) -> None:
    way(pod)
    pod.journal.hold()
    container = ready(pod, code=7, how=how)
    container.signal("TERM")
    pod.journal.until("heard TERM")
    assert_stays("the message in work", lambda: container.running)
    pod.journal.release()
    assert container.wait() == 7
    assert received_signals(pod) == ["heard TERM"]


@in_all_pods
def test_the_kill_file_alone_does_not_end_the_command(pod: Pod) -> None:
    container = ready(pod)
    pod.drain(container)
    assert_stays("the command at work", lambda: container.running and not received_signals(pod))
    container.signal("TERM")
    assert container.wait() == 0


@WAYS
@in_all_pods
def test_a_signal_sent_before_the_command_has_started_reaches_it(pod: Pod, way: Callable[[Pod], None]) -> None:
    if pod.name == "mksh":
        pytest.skip("it has handlers of its own from the start; no image has it as /bin/sh")
    way(pod)
    container = pod.start_parent(pod.consumer(code=7))
    until("process 1 handles TERM", lambda: has_handler(container.pid, "TERM"), poll=0.001)
    container.signal("TERM")
    assert container.wait() == 7
    assert received_signals(pod) == ["heard TERM"]


@pytest.mark.parametrize("late", [0, 0.7])
@in_all_pods
def test_a_command_that_sets_its_handler_late_gets_the_signal(pod: Pod, late: float) -> None:
    container = pod.start_parent(pod.consumer(code=7, late=late))
    pod.journal.until("start")
    pod.drain(container)
    container.signal("TERM")
    assert container.wait() == 7
    assert received_signals(pod) == ["heard TERM"]


@pytest.mark.parametrize("name", ["INT", "QUIT", "HUP", "USR1", "USR2", "TERM"])
@in_all_pods
def test_the_stop_signal_is_translated_to_the_one_that_the_worker_wants(pod: Pod, name: str) -> None:
    container = ready(pod, name, wanted=name)
    pod.drain(container)
    container.signal("TERM")
    assert container.wait() == 0
    assert received_signals(pod) == [f"heard {name}"]


@in_all_pods
def test_a_second_stop_signal_is_not_forwarded_to_a_worker_that_wants_another_signal(pod: Pod) -> None:
    """A kubelet that restarts during the drain sends it again, and Huey aborts its message at TERM."""
    pod.journal.hold()
    container = ready(pod, "INT", wanted="INT", how="breaks")
    pod.drain(container)
    container.signal("TERM")
    pod.journal.until("heard INT")
    container.signal("TERM")
    assert_stays("the message in work", lambda: container.running and received_signals(pod) == ["heard INT"], 0.5)
    pod.journal.release()
    assert container.wait() == 0


@pytest.mark.parametrize("name", ["INT", "QUIT", "HUP"])
@in_all_pods
def test_another_stop_signal_of_the_image_is_forwarded_unchanged(pod: Pod, name: str) -> None:
    container = ready(pod, name)
    pod.drain(container)
    container.signal(name)
    assert container.wait() == 0
    assert received_signals(pod) == [f"heard {name}"]


@in_all_pods
def test_the_real_time_signal_that_ends_some_programs_is_forwarded(pod: Pod) -> None:
    here = pod.directory / "ready"
    listen = f"signal.signal(37, lambda *_: sys.exit(7)); open({str(here)!r}, 'w'); signal.pause()"
    container = pod.start_parent([*PYTHON, "-c", f"import signal, sys; {listen}"])
    until("the handler", here.exists)
    pod.drain(container)
    signal.pidfd_send_signal(container.pidfd, 37)
    assert container.wait() == 7


@pytest.mark.parametrize("name", ["USR1", "USR2", "TSTP", "HUP", "WINCH"])
@in_all_pods
def test_a_signal_outside_a_drain_reaches_a_command_that_handles_it(pod: Pod, name: str) -> None:
    """A hook, a probe or an operator signals process 1."""
    container = ready(pod, name, 7)
    container.signal(name)
    assert container.wait() == 7
    assert received_signals(pod) == [f"heard {name}"]


@pytest.mark.parametrize("name", ["USR2", "TSTP"])
@in_all_pods
def test_a_signal_from_a_hook_to_process_1_reaches_the_command_during_the_drain(pod: Pod, name: str) -> None:
    container = ready(pod, name, 7)
    pod.drain(container)
    container.signal(name)
    assert container.wait() == 7
    assert received_signals(pod) == [f"heard {name}"]


@pytest.mark.parametrize("name", ["INT", "HUP", "USR1", "TSTP"])
@pytest.mark.parametrize("how", WITHOUT_HANDLER)
@in_all_pods
def test_a_command_that_does_not_handle_a_signal_survives_it_like_process_1(pod: Pod, how: str, name: str) -> None:
    pod.journal.hold()
    container = ready(pod, name, 7, how)
    container.signal(name)
    assert_stays("the command at work", lambda: container.running, 0.1)
    pod.journal.release()
    assert container.wait() == 7
    assert received_signals(pod) == []


# Commands that do not handle the signal


@pytest.mark.parametrize("how", WITHOUT_HANDLER)
@in_all_pods
def test_a_message_that_ends_in_time_is_not_aborted_if_no_process_handles_the_signal(pod: Pod, how: str) -> None:
    pod.journal.hold()
    container = ready(pod, code=7, how=how, grace=30)
    pod.drain(container)
    container.signal("TERM")
    time.sleep(0.5)
    assert container.running
    pod.journal.release()
    assert container.wait() == 7
    assert pod.journal.lines == ["start", "ready", "end"]


@pytest.mark.parametrize("hooked", [True, False], ids=["hook", "no-hook"])
@WAYS
@in_all_pods
def test_a_command_without_handler_is_killed_after_the_original_grace_period_and_not_earlier(
    pod: Pod, way: Callable[[Pod], None], hooked: bool, measure: Measure
) -> None:
    way(pod)
    pod.journal.hold()
    container = ready(pod, how="unhandled", grace=1)
    if hooked and way is not without_volume:
        pod.drain(container)
    sent = time.monotonic_ns()
    container.signal("TERM")
    assert container.wait() == 137
    seconds = (container.ended - sent) / 1e9
    measure("old grace period of 1 s → end of a command without a handler", seconds, pod)
    assert 0.8 <= seconds < 4
    assert pod.journal.lines == ["start", "ready"]


@pytest.mark.parametrize("name", ["QUIT", "USR1", "WINCH", "RTMIN"])
@in_all_pods
def test_the_images_stop_signal_ends_a_command_without_handler_although_the_hook_has_not_run(
    pod: Pod, name: str
) -> None:
    pod.journal.hold()
    container = ready(pod, how="unhandled", grace=1, stop_signal=name)
    container.signal(name)
    assert container.wait() == 137


@in_all_pods
def test_a_command_gets_a_stop_signal_that_scripts_usually_do_not_handle(pod: Pod) -> None:
    here = pod.directory / "ready"
    listen = f"signal.signal(34, lambda *_: sys.exit(7)); open({str(here)!r}, 'w'); signal.pause()"
    container = pod.start_parent([*PYTHON, "-c", f"import signal, sys; {listen}"], stop_signal="RTMIN")
    until("the handler", here.exists)
    container.signal("RTMIN")
    assert container.wait() == 7


@in_all_pods
def test_the_original_grace_period_starts_at_the_time_in_the_kill_file(pod: Pod) -> None:
    pod.journal.hold()
    container = ready(pod, how="unhandled", grace=100)
    pod.kill_me().write_text(f"{now() - 990}\n")
    sent = time.monotonic_ns()
    container.signal("TERM")
    assert container.wait() == 137
    assert 0.7 <= (container.ended - sent) / 1e9 < 4


@in_all_pods
def test_a_command_without_handler_is_killed_at_once_if_its_time_is_over_when_the_hook_returns(pod: Pod) -> None:
    pod.journal.hold()
    container = ready(pod, how="unhandled", grace=10)
    pod.kill_me().write_text(f"{now() - 200}\n")
    container.signal("TERM")
    assert container.wait(3) == 137


@in_all_pods
def test_a_command_that_sets_its_handler_after_the_original_grace_period_is_killed(pod: Pod) -> None:
    container = pod.start_parent(pod.consumer(late=600), grace=0)
    pod.journal.until("start")
    container.signal("TERM")
    assert container.wait(5) == 137


@in_all_pods
def test_a_command_that_handles_the_signal_is_not_killed_after_the_original_grace_period(pod: Pod) -> None:
    pod.journal.hold()
    container = ready(pod, code=7, grace=0)
    container.signal("TERM")
    pod.journal.until("heard TERM")
    assert_stays("the message in work", lambda: container.running, 0.5)
    pod.journal.release()
    assert container.wait() == 7


# Scripts that die from their own signal


def dying_script(pod: Pod, pause: float, grace: int) -> Process:
    """Start a script that forwards TERM to its process group after a pause, and return it when its worker is ready."""
    worker = shlex.join(pod.consumer(code=7))
    text = f"trap 'sleep {pause}; trap - TERM; kill 0; wait' TERM; {worker} & wait; wait"
    container = pod.start_parent([require_program("bash"), "-c", text], grace=grace)
    pod.journal.until("ready")
    return container


@pytest.mark.parametrize(("pause", "late"), [(0, 0), (2, 0), (0, 100)], ids=["at-once", "later", "at-once-but-late"])
@in_all_pods
def test_the_worker_of_a_script_that_dies_from_its_own_signal_is_awaited(pod: Pod, pause: float, late: int) -> None:
    """As process 1, the script would survive that signal."""
    pod.journal.hold()
    container = dying_script(pod, pause, 5 if late else 30)
    pod.kill_me().write_text(f"{now() - late}\n")
    container.signal("TERM")
    pod.journal.until("heard TERM")
    assert_stays("the message in work", lambda: container.running, 1.3)
    pod.journal.release()
    assert container.wait() == 143
    assert pod.journal.lines[-1] == "end"


# Processes that are killed


@in_all_pods
def test_a_pkill_of_the_commands_arguments_signals_the_command_and_does_not_kill_the_parent(pod: Pod) -> None:
    if pod.name == "yash":
        pytest.skip("it waits in a further process, without handlers; no image has it as /bin/sh")
    pod.journal.hold()
    container = ready(pod, code=7)
    assert pod.exec(container, [require_program("pkill"), "-f", str(pod.journal.path)]).wait() == 0
    pod.journal.until("heard TERM")
    assert_stays("the message in work", lambda: container.running)
    pod.journal.release()
    assert container.wait() == 7
    assert received_signals(pod).count("heard TERM") <= 2


@in_all_pods
def test_the_container_ends_whichever_of_its_processes_is_killed(pod: Pod) -> None:
    """Below the first process run the command's parent shell, and the shell that reads what the parent shell writes."""
    shells = 2
    for victim in range(shells):
        pod.journal.path.unlink(missing_ok=True)
        pod.journal.hold()
        container = ready(pod)
        os.kill(container.script_shells(shells)[victim], signal.SIGKILL)
        assert container.wait() == 137
        assert pod.kill_sidecar().exists()
        container.remove()


@in_all_pods
def test_the_parent_uses_no_cpu_time_while_its_command_runs(pod: Pod) -> None:
    container = pod.start_parent(["sleep", "600"])
    container.worker("600")
    until("the start is over", lambda: cpu_seconds_used(container, 0.3) == 0, poll=0)
    assert cpu_seconds_used(container, 1) < 0.05


def cpu_seconds_used(container: Process, seconds: float) -> float:
    before = container.cpu_seconds()
    time.sleep(seconds)
    return container.cpu_seconds() - before


@in_all_pods
def test_the_command_has_the_signal_masks_of_process_1(pod: Pod) -> None:
    container = pod.start_parent(["sleep", "600"])
    masks = signal_sets(container.worker("600"))
    assert (masks["SigIgn"] & ~OF_THE_C_LIBRARY, masks["SigBlk"]) == (0, 0)


@in_all_pods
def test_orphans_of_the_command_are_reaped_and_do_not_delay_the_end_of_the_container(pod: Pod) -> None:
    if pod.setting is Setting.CHILD:
        pytest.skip("process 1 of this machine adopts them")
    script = "for i in 1 2 3; do (sleep 0.05 & ); done; (sleep 600 &); sleep 0.3; exit 7"
    container = pod.start_parent(["/bin/sh", "-c", script])
    assert container.wait() == 7


@pytest.mark.parametrize("signalled", [False, True], ids=["by-itself", "signalled"])
def test_the_container_ends_within_100_ms_of_the_command(pod: Pod, signalled: bool, measure: Measure) -> None:
    pod.journal.hold()
    container = pod.start_parent(pod.consumer() if signalled else pod.message())
    pod.journal.until("ready" if signalled else "begin")
    worker = os.pidfd_open(container.worker("consumer.py" if signalled else "message.py"))
    if signalled:
        container.signal("TERM")
        pod.journal.until("heard")
    pod.journal.release()
    last = first_end(worker)
    os.close(worker)
    assert container.wait() == 0
    seconds = (container.ended - last) / 1e9
    measure("end of the command → end of the container, parent", seconds, pod)
    assert seconds < 0.4


def test_the_signal_reaches_the_command_at_once(pod: Pod, measure: Measure) -> None:
    container = ready(pod)
    sent = time.monotonic_ns()
    container.signal("TERM")
    assert container.wait() == 0
    got = next(when for when, what in pod.journal.events if what.startswith("heard"))
    measure("stop signal → the command hears it", (got - sent) / 1e9, pod)
    assert got - sent < 1e9
