"""The parent that finds the workers below a command: each worker gets its signal once, other processes get none."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from webhook.core.recognize.frameworks import FRAMEWORKS

from .pods import (
    Pod,
    Process,
    Setting,
    assert_stays,
    in_all_pods,
    now,
    number,
    require_program,
    until,
    why_unavailable,
)

LOOKS = "consumer.py"


@pytest.fixture
def pods(pods: list[Pod]) -> list[Pod]:
    """All pods, in PID namespaces of their own, so that the scripts do not search all processes of this machine."""
    reason = why_unavailable(Setting.INIT)
    if reason:
        pytest.skip(reason)
    for pod in pods:
        pod.shares = pod.setting is Setting.CHILD
    return pods


def shell_string(pod: Pod, text: str, looks: str = LOOKS, **options: Any) -> Process:
    """Start a container with a shell string: WORKER runs a worker, and NOTE writes a line to the journal."""
    text = text.replace("WORKER", shlex.join(pod.consumer(code=7))).replace("NOTE", f"echo >>{pod.journal.path} 0")
    return pod.start_parent(["/bin/sh", "-c", text], looks=looks, **options)


def received_signals(pod: Pod) -> list[str]:
    return [line for line in pod.journal.lines if line.startswith(("heard", "child got"))]


def drain_and_wait(pod: Pod, container: Process, within: float = 15) -> int:
    pod.drain(container)
    container.signal("TERM")
    return container.wait(within)


def behind_dash(worker: str) -> list[str]:
    return [require_program("dash"), "-c", f"true; {worker}; exit $?"]


def behind_bash(worker: str) -> list[str]:
    return [require_program("bash"), "-c", f"true; {worker}; exit $?"]


def behind_bash_with_an_exit_trap(worker: str) -> list[str]:
    return [require_program("bash"), "-c", f"trap true EXIT; {worker}; exit $?"]


def behind_busybox(worker: str) -> list[str]:
    return [require_program("busybox"), "sh", "-c", f"true; {worker}; exit $?"]


def behind_exec(worker: str) -> list[str]:
    return ["/bin/sh", "-c", f"true; exec {worker}"]


def behind_two_shells(worker: str) -> list[str]:
    return ["/bin/sh", "-c", f"true; /bin/sh -c {shlex.quote(f'true; {worker}; exit $?')}; exit $?"]


def behind_a_subshell(worker: str) -> list[str]:
    return ["/bin/sh", "-c", f"(true; {worker}; exit $?); exit $?"]


def behind_tini(worker: str) -> list[str]:
    return [require_program("tini"), "-s", "--", *shlex.split(worker)]


def behind_dumb_init(worker: str) -> list[str]:
    return [require_program("dumb-init"), "--", *behind_dash(worker)]


BEHIND = (
    behind_dash,
    behind_bash,
    behind_bash_with_an_exit_trap,
    behind_busybox,
    behind_exec,
    behind_two_shells,
    behind_a_subshell,
    behind_tini,
    behind_dumb_init,
)


@pytest.mark.parametrize("behind", BEHIND, ids=lambda behind: behind.__name__)
@in_all_pods
def test_a_worker_below_a_shell_or_an_init_gets_the_signal_once_and_ends_before_it(
    pod: Pod, behind: Callable[[str], list[str]]
) -> None:
    pod.journal.hold()
    container = pod.start_parent(behind(shlex.join(pod.consumer(code=7))), looks=LOOKS)
    pod.journal.until("ready")
    pod.drain(container)
    for _ in range(2):
        container.signal("TERM")
        time.sleep(0.05)
    pod.journal.until("heard TERM")
    assert_stays("the message in work", lambda: container.running and received_signals(pod) == ["heard TERM"])
    pod.journal.release()
    assert container.wait() == 7
    assert pod.journal.lines[-1] == "end"
    assert received_signals(pod) == ["heard TERM"]


@pytest.mark.parametrize("attempt", range(3))
@in_all_pods
def test_stop_signals_in_quick_succession_reach_the_worker_once(pod: Pod, attempt: int) -> None:
    pod.journal.hold()
    container = pod.start_parent(behind_dash(shlex.join(pod.consumer(code=7))), looks=LOOKS)
    pod.journal.until("ready")
    pod.drain(container)
    container.signal_in_quick_succession("TERM")
    pod.journal.until("heard TERM")
    assert_stays("the message in work", lambda: container.running and received_signals(pod) == ["heard TERM"], 0.5)
    pod.journal.release()
    assert container.wait() == 7


@in_all_pods
def test_a_pod_deleted_before_the_parent_has_handlers_runs_its_setup_and_drains_its_worker(pod: Pod) -> None:
    setup = pod.directory / "setup"
    worker = shlex.join(pod.consumer(code=7))
    argv = ["/bin/sh", "-c", f"touch {setup}; {worker}; exit $?"]
    container = pod.delete_before_handlers(lambda: pod.start_parent(argv, looks=LOOKS))
    if pod.name == "mksh":  # exits at the signal by itself
        assert container.wait() == 128 + number("TERM")
        return
    assert container.wait() == 7
    assert setup.exists()
    assert received_signals(pod) == ["heard TERM"]


@pytest.mark.parametrize("name", ["INT", "QUIT", "USR1"])
@in_all_pods
def test_the_worker_gets_the_signal_that_it_wants(pod: Pod, name: str) -> None:
    argv = ["/bin/sh", "-c", f"{shlex.join(pod.consumer(name, 7))}; exit $?"]
    container = pod.start_parent(argv, looks=LOOKS, wanted=name)
    pod.journal.until("ready")
    assert drain_and_wait(pod, container) == 7
    assert received_signals(pod) == [f"heard {name}"]


@pytest.mark.parametrize("name", ["QUIT", "USR1"])
@in_all_pods
def test_the_worker_gets_its_own_signal_in_place_of_the_images_although_the_hook_has_not_run(
    pod: Pod, name: str
) -> None:
    container = shell_string(pod, "WORKER; exit $?", wanted="TERM", stop_signal=name)
    pod.journal.until("ready")
    container.signal(name)
    assert container.wait() == 7
    assert received_signals(pod) == ["heard TERM"]


@in_all_pods
def test_two_workers_get_the_signal_once_each(pod: Pod) -> None:
    pod.journal.hold()
    container = shell_string(pod, "WORKER & WORKER & wait; NOTE over")
    pod.journal.until("ready", 2)
    pod.drain(container)
    container.signal("TERM")
    pod.journal.until("heard TERM", 2)
    assert_stays("the messages in work", lambda: container.running)
    pod.journal.release()
    container.wait()
    assert received_signals(pod) == ["heard TERM"] * 2
    assert pod.journal.count("end") == 2


@in_all_pods
def test_a_process_beside_the_worker_is_not_signalled_and_does_not_delay_the_end(pod: Pod) -> None:
    beside = shlex.join([require_program("perl"), "-e", "$SIG{TERM} = sub { print 'signalled' }; sleep 1 while 1"])
    container = shell_string(pod, f"{beside} & WORKER; code=$?; wait; exit $code")
    pod.journal.until("ready")
    drain_and_wait(pod, container, 8)
    assert pod.journal.lines[-2:] == ["heard TERM", "end"]
    assert container.stdout == ""


@in_all_pods
def test_a_worker_in_a_pipe_gets_the_signal_and_its_output_is_read_to_the_end(pod: Pod) -> None:
    container = shell_string(pod, "{ WORKER; echo last words; } | cat")
    pod.journal.until("ready")
    assert drain_and_wait(pod, container) == 0
    assert container.stdout == "last words\n"


@in_all_pods
def test_commands_after_the_worker_run_to_their_end(pod: Pod) -> None:
    container = shell_string(pod, "WORKER; NOTE ack begins; sleep 1.5; NOTE acknowledged; exit 5")
    pod.journal.until("ready")
    assert drain_and_wait(pod, container) == 5
    assert pod.journal.lines[-3:] == ["end", "ack begins", "acknowledged"]


@in_all_pods
def test_a_shell_without_children_that_is_busy_after_the_worker_is_not_killed(pod: Pod) -> None:
    """It has no child, so it is expected to end soon, even on a slow machine."""
    file = pod.directory / "go-on"
    container = shell_string(pod, f"WORKER; until [ -e {file} ]; do :; done; NOTE behind; exit 5")
    pod.journal.until("ready")
    pod.drain(container)
    container.signal("TERM")
    pod.journal.until("end")
    assert_stays("the shell behind the worker", lambda: container.running, 2.5)
    file.touch()
    assert container.wait(15) == 5
    assert pod.journal.lines[-2:] == ["end", "behind"]


@in_all_pods
def test_a_shell_that_stays_busy_after_the_worker_is_killed_after_the_original_grace_period(pod: Pod) -> None:
    container = shell_string(pod, "WORKER; while :; do :; done", grace=3)
    pod.journal.until("ready")
    begin = time.monotonic()
    assert drain_and_wait(pod, container) == 137
    assert 2 < time.monotonic() - begin < 8


@pytest.mark.parametrize("loops", ["loops", "endless"])
@in_all_pods
def test_a_run_that_needs_no_signal_gets_none_and_no_run_follows(pod: Pod, loops: str) -> None:
    """PHP without pcntl has a handler for every signal, and dies of it all the same."""
    pod.journal.hold()
    worker = shlex.join(pod.message(code=7))
    stop = pod.directory / "own-kill-file"
    text = f"while [ ! -e {stop} ]; do {worker}; done; exit 5"
    container = pod.start_parent(["/bin/sh", "-c", text], looks="message.py", wanted="0", loops=loops, grace=1)
    pod.journal.until("begin")
    pod.drain(container)
    container.signal("TERM")
    assert_stays("the run", lambda: container.running, 1.5)
    if loops == "loops":
        stop.touch()
    pod.journal.release()
    assert container.wait() == (5 if loops == "loops" else 137)
    assert pod.journal.lines == ["begin", "end"]


@pytest.mark.parametrize("seconds", [1.8, 3])
@in_all_pods
def test_a_shell_gets_a_second_after_a_worker_that_ends_at_or_after_the_deadline(pod: Pod, seconds: float) -> None:
    pod.journal.hold()
    container = shell_string(pod, "WORKER; sleep 0.4; NOTE behind; exit 5", grace=1)
    pod.journal.until("ready")
    pod.drain(container)
    container.signal("TERM")
    pod.journal.until("heard TERM")
    time.sleep(seconds)
    pod.journal.release()
    assert container.wait() == 5
    assert pod.journal.lines[-2:] == ["end", "behind"]


@in_all_pods
def test_the_parent_does_not_wait_for_a_worker_that_is_started_again(pod: Pod) -> None:
    container = shell_string(pod, "while true; do WORKER; done")
    pod.journal.until("ready")
    drain_and_wait(pod, container, 6)
    assert received_signals(pod) == ["heard TERM"]
    assert pod.journal.count("end") == 1


@pytest.mark.parametrize("loops", ["loops", "endless"])
@in_all_pods
def test_the_commands_own_loop_is_ended_after_the_run(pod: Pod, loops: str) -> None:
    container = shell_string(pod, "while true; do WORKER; done", loops=loops)
    pod.journal.until("ready")
    drain_and_wait(pod, container, 6)
    assert received_signals(pod) == ["heard TERM"]
    assert pod.journal.count("end") == 1


@in_all_pods
def test_an_endless_loop_does_not_start_its_worker_again(pod: Pod) -> None:
    container = shell_string(pod, "while true; do WORKER; NOTE anew; done", loops="endless")
    pod.journal.until("ready")
    drain_and_wait(pod, container, 6)
    assert pod.journal.lines == ["start", "ready", "heard TERM", "end"]


@in_all_pods
def test_an_endless_loop_between_two_runs_is_ended_at_once(pod: Pod) -> None:
    container = shell_string(pod, "while true; do NOTE asleep; sleep 600; WORKER; done", loops="endless")
    pod.journal.until("asleep")
    time.sleep(0.1)
    drain_and_wait(pod, container, 6)
    assert pod.journal.lines == ["asleep"]


@pytest.mark.parametrize("behind", ["", "; sleep 1.5"], ids=["at-once", "asleep-behind-the-run"])
@in_all_pods
def test_commands_after_a_loop_run_if_the_loop_ends_by_itself(pod: Pod, behind: str) -> None:
    stop = pod.directory / "stop"
    container = shell_string(
        pod, f"until [ -e {stop} ]; do WORKER{behind}; done; sleep 0.3; NOTE behind; exit 5", loops="loops"
    )
    pod.journal.until("ready")
    stop.touch()
    assert drain_and_wait(pod, container) == 5
    assert pod.journal.lines[-2:] == ["end", "behind"]


@in_all_pods
def test_the_parent_waits_for_a_sleeping_loop_that_ends_by_itself(pod: Pod) -> None:
    stop = pod.directory / "stop"
    text = f"until [ -e {stop} ]; do NOTE asleep; sleep 2; [ -e {stop} ] || WORKER; done; NOTE behind; exit 5"
    container = shell_string(pod, text, loops="loops")
    pod.journal.until("asleep")
    time.sleep(0.1)
    stop.touch()
    assert drain_and_wait(pod, container) == 5
    assert pod.journal.lines == ["asleep", "behind"]


@in_all_pods
def test_a_loop_that_sleeps_longer_than_the_original_grace_period_is_killed_at_its_end(pod: Pod) -> None:
    container = shell_string(pod, "until false; do WORKER; NOTE asleep; sleep 600; done", loops="loops", grace=3)
    pod.journal.until("ready")
    begin = time.monotonic()
    assert drain_and_wait(pod, container) == 137
    assert 2 < time.monotonic() - begin < 8
    assert pod.journal.lines[-2:] == ["end", "asleep"]


@pytest.mark.parametrize("grace", [0, 1])
@in_all_pods
def test_a_worker_gets_its_signal_although_the_hook_took_the_original_grace_period(pod: Pod, grace: int) -> None:
    pod.journal.hold()
    container = shell_string(pod, "WORKER; exit $?", grace=grace)
    pod.journal.until("ready")
    pod.kill_me().write_text(f"{now() - 100}\n")
    container.signal("TERM")
    pod.journal.until("heard TERM")
    assert_stays("the message in work", lambda: container.running, 2.5)
    pod.journal.release()
    assert container.wait() == 7


@in_all_pods
def test_the_parent_waits_for_a_worker_that_starts_after_a_migration(pod: Pod) -> None:
    container = shell_string(pod, "NOTE migrating; sleep 1 && WORKER; exit $?")
    pod.journal.until("migrating")
    assert drain_and_wait(pod, container) == 7
    # The worker may get the signal before it records that it is ready.
    assert [line for line in pod.journal.lines if line != "ready"] == ["migrating", "start", "heard TERM", "end"]


@in_all_pods
def test_a_command_that_starts_no_worker_is_killed_after_the_original_grace_period(pod: Pod) -> None:
    container = shell_string(pod, "NOTE migrating; sleep 600; WORKER", grace=1)
    pod.journal.until("migrating")
    begin = time.monotonic()
    assert drain_and_wait(pod, container) == 137
    assert 0.7 < time.monotonic() - begin < 5


@in_all_pods
def test_a_worker_that_handles_no_signal_is_killed_after_the_original_grace_period(pod: Pod) -> None:
    pod.journal.hold()
    worker = shlex.join(pod.consumer(how="unhandled"))
    container = pod.start_parent(["/bin/sh", "-c", f"{worker}; exit $?"], looks=LOOKS, grace=1)
    pod.journal.until("ready")
    begin = time.monotonic()
    assert drain_and_wait(pod, container) == 137
    assert 0.7 < time.monotonic() - begin < 5
    assert pod.journal.lines == ["start", "ready"]


@pytest.mark.parametrize("how", ["sigwait", "blocked"])
@in_all_pods
def test_a_worker_that_blocks_the_signal_and_waits_for_it_gets_it(pod: Pod, how: str) -> None:
    worker = shlex.join(pod.consumer(code=7, how=how))
    container = pod.start_parent(["/bin/sh", "-c", f"{worker}; exit $?"], looks=LOOKS)
    pod.journal.until("ready")
    assert drain_and_wait(pod, container) == 7
    assert received_signals(pod) == ["heard TERM"]


@pytest.mark.parametrize(
    ("framework", "title"),
    [
        ("celery", "[celeryd: worker@host:MainProcess]"),
        ("sidekiq", "sidekiq 7.3 app [1 of 5 busy]"),
        ("faktory-worker-ruby", "faktory-worker 2.2.0 app [1 of 5 busy]"),
        ("delayed-job", "web/delayed_job.1"),
    ],
    ids=["celery", "sidekiq", "faktory-worker-ruby", "delayed-job"],
)
@in_all_pods
def test_a_worker_that_changes_its_process_title_is_recognised_by_it(pod: Pod, framework: str, title: str) -> None:
    looks = "|".join(["other worker", *(f"={pattern}" for pattern in FRAMEWORKS[framework].titles)])
    worker = shlex.join([require_program("perl"), *pod.worker("titled.pl", pod.journal.path, title)[1:]])
    container = pod.start_parent(["/bin/sh", "-c", f"{worker}; exit $?"], looks=looks)
    pod.journal.until("ready")
    assert drain_and_wait(pod, container) == 7
    assert received_signals(pod) == ["heard TERM"]


@in_all_pods
def test_a_worker_that_has_executed_another_program_is_recognised_by_that_program(pod: Pod) -> None:
    looks = "|".join(["other worker", *(f"={pattern}" for pattern in FRAMEWORKS["django-dramatiq"].titles)])
    argv = pod.consumer(code=7)
    start = next(index for index, word in enumerate(argv) if word.endswith("consumer.py"))
    executed = pod.directory / "dramatiq"
    executed.write_text(Path(argv[start]).read_text().replace("sys.argv[1:]", "sys.argv[2:]"))
    worker = shlex.join([*argv[:start], str(executed), "--path", *argv[start + 1 :]])
    container = pod.start_parent(["/bin/sh", "-c", f"{worker}; exit $?"], looks=looks)
    pod.journal.until("ready")
    assert drain_and_wait(pod, container) == 7
    assert received_signals(pod) == ["heard TERM"]


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@in_all_pods
def test_a_launcher_with_the_workers_words_in_its_arguments_is_not_the_worker(pod: Pod, known: bool) -> None:
    records_term = "import os, signal, subprocess, sys; signal.signal(15, lambda *_: os.write(1, b'told'))"
    launch = pod.directory / "launch.py"
    launch.write_text(f"{records_term}\nsys.exit(subprocess.call(sys.argv[1:]))\n")
    link = pod.directory / "launch"
    link.symlink_to(pod.consumer()[0])
    argv = [str(link), "-I", "-S", str(launch), *pod.consumer(code=7)]
    launcher: dict[str, Any] = {"launchers" if known else "unknown": "other|launch"}
    container = pod.start_parent(argv, looks=LOOKS, **launcher)
    pod.journal.until("ready")
    assert drain_and_wait(pod, container) == 7
    assert (received_signals(pod), container.stdout) == (["heard TERM"], "")


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@in_all_pods
def test_a_launcher_that_has_not_started_the_worker_gets_no_signal(pod: Pod, known: bool) -> None:
    records_term = "import os, signal, subprocess, sys, time; signal.signal(15, lambda *_: os.write(1, b'told'))"
    launch = pod.directory / "launch.py"
    launch.write_text(
        f"{records_term}\nprint('here', flush=True)\ntime.sleep(2)\nsys.exit(subprocess.call(sys.argv[1:]))\n"
    )
    link = pod.directory / "launch"
    link.symlink_to(pod.consumer()[0])
    argv = [str(link), "-I", "-S", str(launch), *pod.consumer(code=7)]
    launcher: dict[str, Any] = {"launchers" if known else "unknown": "other|launch"}
    # The unknown launcher starts nothing that looks like the worker.
    container = pod.start_parent(argv, looks=LOOKS if known else "other.py", **launcher, grace=5)
    until("the launcher", lambda: "here" in container.stdout)
    code = drain_and_wait(pod, container)
    assert "told" not in container.stdout
    assert code == (7 if known else 137)


@in_all_pods
def test_a_command_that_becomes_another_program_than_the_worker_gets_the_received_signal(pod: Pod) -> None:
    pod.journal.hold()
    container = shell_string(
        pod, "if [ web = web ]; then exec WORKER; else exec celery worker; fi", looks="celery worker", wanted="QUIT"
    )
    pod.journal.until("ready")
    pod.drain(container)
    container.signal("TERM")
    pod.journal.until("heard TERM")
    assert_stays("the message in work", lambda: container.running and received_signals(pod) == ["heard TERM"], 1)
    pod.journal.release()
    assert container.wait() == 7


@in_all_pods
def test_an_unknown_launcher_is_the_worker_if_no_process_below_it_matches(pod: Pod) -> None:
    link = pod.directory / "takes-up"
    link.symlink_to(pod.consumer()[0])
    container = pod.start_parent([str(link), *pod.consumer(code=7)[1:]], looks=LOOKS, unknown="takes-up")
    pod.journal.until("ready")
    assert drain_and_wait(pod, container) == 7
    assert received_signals(pod) == ["heard TERM"]


@in_all_pods
def test_a_command_before_a_loop_is_not_taken_for_a_pause_between_two_runs(pod: Pod) -> None:
    """It has the pod's original grace period."""
    before = shlex.join(pod.worker("message.py", pod.journal.path, pod.folder(), 0))
    pod.journal.hold()
    container = shell_string(pod, f"{before}; while true; do WORKER; done", loops="endless", grace=20)
    pod.journal.until("begin")
    pod.drain(container)
    container.signal("TERM")
    time.sleep(0.5)
    pod.journal.release()
    pod.journal.until("end")
    container.wait(15)


@in_all_pods
def test_any_process_except_a_shell_can_be_the_worker(pod: Pod) -> None:
    container = shell_string(pod, "true; WORKER; exit $?", looks="*")
    pod.journal.until("ready")
    assert drain_and_wait(pod, container) == 7
    assert received_signals(pod) == ["heard TERM"]


@in_all_pods
def test_the_words_of_a_pattern_match_only_if_they_follow_each_other(pod: Pod) -> None:
    """Here, only the last pattern matches the worker, and no pattern matches the `sleep 600` beside it."""
    container = shell_string(
        pod, "sleep 600 & WORKER; kill $!; exit 7", looks=f"sleep 60|python {LOOKS}|{LOOKS} {pod.journal.path}"
    )
    pod.journal.until("ready")
    drain_and_wait(pod, container, 8)
    assert received_signals(pod) == ["heard TERM"]


@in_all_pods
def test_a_worker_that_fetches_a_message_gets_the_signal_when_it_has_forked_a_child_for_it(pod: Pod) -> None:
    worker = shlex.join(pod.worker("fetcher.py", pod.journal.path, 0.4))
    container = pod.start_parent(["/bin/sh", "-c", f"{worker}; exit $?"], looks="fetcher.py", busy=1)
    pod.journal.until("fetching")
    assert drain_and_wait(pod, container) == 0
    assert pod.journal.lines == ["fetching", "working", "heard", "end"]


@in_all_pods
def test_a_worker_that_fetches_nothing_gets_the_signal_a_second_later(pod: Pod) -> None:
    worker = shlex.join(pod.worker("fetcher.py", pod.journal.path, -1))
    container = pod.start_parent(["/bin/sh", "-c", f"{worker}; exit $?"], looks="fetcher.py", busy=1)
    pod.journal.until("fetching")
    assert drain_and_wait(pod, container) == 0
    assert pod.journal.lines == ["fetching", "dropped"]


@in_all_pods
def test_a_worker_that_process_1_has_adopted_is_found(pod: Pod) -> None:
    if pod.setting is Setting.CHILD:
        pytest.skip("process 1 is the pause container")
    container = shell_string(pod, "(WORKER &); exec sleep 600")
    pod.journal.until("ready")
    drain_and_wait(pod, container, 8)
    assert pod.journal.lines[-2:] == ["heard TERM", "end"]


@pytest.mark.parametrize("text", ["WORKER", "WORKER; exit 3"])
@in_all_pods
def test_a_worker_that_ends_by_itself_ends_the_container(pod: Pod, text: str) -> None:
    argv = shlex.join(pod.message(7))
    assert pod.start_parent(["/bin/sh", "-c", text.replace("WORKER", argv)], looks="message.py").wait() in {3, 7}
    assert pod.kill_sidecar().exists()


@in_all_pods
def test_a_signal_outside_a_drain_reaches_the_workers_that_handle_it(pod: Pod) -> None:
    worker = shlex.join(pod.consumer("USR2", 7))
    container = pod.start_parent(["/bin/sh", "-c", f"{worker}; exit $?"], looks=LOOKS)
    pod.journal.until("ready")
    container.signal("USR2")
    assert container.wait() == 7
    assert received_signals(pod) == ["heard USR2"]


@in_all_pods
def test_the_parent_drains_in_an_image_without_mkfifo(pod: Pod) -> None:
    pod.hide_programs("mkfifo")
    container = shell_string(pod, "WORKER; NOTE acknowledged; exit 5")
    pod.journal.until("ready")
    until("the shell", lambda: container.running)
    assert drain_and_wait(pod, container) == 5
    assert pod.journal.lines[-1] == "acknowledged"
