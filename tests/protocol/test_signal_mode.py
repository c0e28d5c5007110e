"""Signal mode: the right signal reaches the worker once, and nobody else, whatever stands between the two."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from webhook.core.annotations import HEARD_SIGNALS, PASSED_SIGNALS

from .measurements import Measure
from .pods import WORKERS, Pod, Process, children, first_end, in_all_pods, number, stays, until


def ready(pod: Pod, name: str, code: int = 0) -> Process:
    """Start a worker that waits for a signal, and return its container when worker and worker's child hear signals."""
    container = pod.signal_mode(name, pod.consumer(name, code))
    pod.journal.until("ready")
    pod.journal.until("child ready")
    return container


def heard(pod: Pod) -> list[str]:
    return [line for line in pod.journal.lines if line.startswith(("heard", "child got"))]


@pytest.mark.parametrize("name", PASSED_SIGNALS)
@in_all_pods
def test_a_stop_signal_becomes_the_workers_signal(pod: Pod, name: str) -> None:
    container = ready(pod, name)
    container.signal("TERM")
    assert container.wait() == 0
    assert heard(pod) == [f"heard {name}"]


@pytest.mark.parametrize("stop", HEARD_SIGNALS)
@in_all_pods
def test_every_stop_signal_becomes_the_workers_signal(pod: Pod, stop: str) -> None:
    container = ready(pod, "USR1")
    container.signal(stop)
    assert container.wait() == 0
    assert heard(pod) == ["heard USR1"]


@in_all_pods
def test_a_worker_that_is_fetching_a_message_gets_the_signal_when_it_has_a_child_for_it(pod: Pod) -> None:
    container = pod.signal_mode("TERM+child", pod.worker("fetcher.py", pod.journal.path, 0.4))
    pod.journal.until("fetching")
    container.signal("TERM")
    assert container.wait() == 0
    assert pod.journal.lines == ["fetching", "working", "heard", "end"]


@in_all_pods
def test_a_worker_that_fetches_nothing_gets_the_signal_a_second_later(pod: Pod) -> None:
    container = pod.signal_mode("TERM+child", pod.worker("fetcher.py", pod.journal.path, -1))
    pod.journal.until("fetching")
    container.signal("TERM")
    assert container.wait() == 0
    assert pod.journal.lines == ["fetching", "dropped"]


@pytest.mark.parametrize("name", ["TERM", "QUIT"])
@in_all_pods
def test_further_stop_signals_do_not_reach_the_worker(pod: Pod, name: str) -> None:
    pod.journal.hold()
    container = ready(pod, name)
    for stop in ("TERM", "TERM", "INT", "QUIT", "HUP"):
        container.signal(stop)
        time.sleep(0.04)
    pod.journal.until("heard")
    stays("one signal", lambda: heard(pod) == [f"heard {name}"])
    pod.journal.release()
    assert container.wait() == 0
    assert heard(pod) == [f"heard {name}"]


def test_the_kill_file_alone_does_not_end_the_worker(pod: Pod) -> None:
    container = ready(pod, "TERM")
    pod.drain(container)
    stays("the worker at work", lambda: container.running and not heard(pod))
    container.signal("TERM")
    assert container.wait() == 0


@pytest.mark.parametrize("code", [0, 1, 7, 255])
@in_all_pods
def test_the_workers_exit_code_is_the_containers(pod: Pod, code: int) -> None:
    assert pod.signal_mode("TERM", pod.message(code)).wait() == code


@pytest.mark.parametrize("code", [0, 1, 7, 255])
@in_all_pods
def test_the_workers_exit_code_after_a_signal_is_the_containers(pod: Pod, code: int) -> None:
    container = ready(pod, "TERM", code)
    container.signal("TERM")
    assert container.wait() == code


def test_the_workers_exit_code_after_several_stop_signals_is_the_containers(pod: Pod) -> None:
    pod.journal.hold()
    container = ready(pod, "INT", 7)
    for stop in ("TERM", "HUP", "TERM"):
        container.signal(stop)
        time.sleep(0.04)
    pod.journal.until("heard")
    pod.journal.release()
    assert container.wait() == 7


def test_a_worker_without_a_handler_dies_of_the_signal_and_the_container_tells(pod: Pod) -> None:
    container = pod.signal_mode("USR1", pod.consumer("TERM"))
    pod.journal.until("ready")
    container.signal("TERM")
    assert container.wait() == 128 + number("USR1")


def test_a_killed_worker_ends_the_container_with_137(pod: Pod) -> None:
    container = ready(pod, "TERM")
    os.kill(container.child(), signal.SIGKILL)
    assert container.wait() == 128 + number("KILL")


def test_a_program_that_cannot_be_executed_ends_the_container_with_126(pod: Pod) -> None:
    assert pod.signal_mode("TERM", [str(pod.programs)]).wait() == 126


def test_a_missing_program_ends_the_container_with_127(pod: Pod) -> None:
    container = pod.signal_mode("TERM", ["/no/such/program"])
    assert container.wait() == 127
    assert "/no/such/program" in container.stderr


@pytest.mark.parametrize("name", ["INT", "QUIT"])
@in_all_pods
def test_a_signal_before_the_worker_has_its_handler_is_not_lost(pod: Pod, name: str) -> None:
    container = pod.signal_mode(name, pod.consumer(name, 7, late=1))
    pod.journal.until("start")
    container.signal("TERM")
    assert_heard_or_not_started(pod, container, name)


@in_all_pods
def test_a_signal_before_the_handler_is_not_lost_where_sleep_knows_whole_seconds_only(pod: Pod) -> None:
    pod.sleep_whole_seconds_only()
    container = pod.signal_mode("QUIT", pod.consumer("QUIT", 7, late=1))
    pod.journal.until("start")
    container.signal("TERM")
    assert_heard_or_not_started(pod, container, "QUIT")


@pytest.mark.parametrize("name", ["INT", "QUIT"])
@in_all_pods
def test_a_worker_that_ends_without_ever_having_its_handler_ends_the_container(pod: Pod, name: str) -> None:
    worker = f"echo 0 start >>{pod.journal.path}; sleep 0.5; exit 7"
    container = pod.signal_mode(name, ["/bin/sh", "-c", worker])
    pod.journal.until("start")
    container.signal("TERM")
    assert container.wait(5) in {7, 128 + number(name), 128 + number("TERM")}


def assert_heard_or_not_started(pod: Pod, container: Process, name: str) -> None:
    """Assert that a worker did not work on: it heard the signal, or what was to become it ended by that, or by TERM."""
    code = container.wait(5)
    if code in {128 + number(name), 128 + number("TERM")}:
        assert "ready" not in pod.journal.lines
    else:
        assert code == 7
        assert heard(pod) == [f"heard {name}"]


def behind_and(pod: Pod, worker: str) -> list[str]:
    return ["/bin/sh", "-c", f"cd / && {worker}"]


def behind_dash(pod: Pod, worker: str) -> list[str]:
    return [_need("dash"), "-c", f"true; {worker}; exit $?"]


def behind_bash(pod: Pod, worker: str) -> list[str]:
    return [_need("bash"), "-c", f"true; {worker}"]


def behind_bash_that_stays(pod: Pod, worker: str) -> list[str]:
    return [_need("bash"), "-c", f"true; {worker}; exit $?"]


def behind_bash_with_an_exit_trap(pod: Pod, worker: str) -> list[str]:
    return [_need("bash"), "-c", f"trap true EXIT; {worker}; exit $?"]


def behind_mksh(pod: Pod, worker: str) -> list[str]:
    return [_need("mksh"), "-c", f"true; {worker}; exit $?"]


def behind_busybox(pod: Pod, worker: str) -> list[str]:
    return [_need("busybox"), "sh", "-c", f"true; {worker}; exit $?"]


def behind_a_script_with_exec(pod: Pod, worker: str) -> list[str]:
    return [str(pod.program("run", f"#!/bin/sh\nset -e\nexec {worker}\n"))]


def behind_a_script_without_exec(pod: Pod, worker: str) -> list[str]:
    return [str(pod.program("run", f"#!/bin/sh\nset -e\n{worker}\n"))]


def behind_two_shells(pod: Pod, worker: str) -> list[str]:
    return ["/bin/sh", "-c", f"true; /bin/sh -c {shlex.quote(f'true; {worker}; exit $?')}; exit $?"]


def behind_four_shells(pod: Pod, worker: str) -> list[str]:
    return ["/bin/sh", "-c", f"true; {shlex.join(behind_two_shells(pod, f'bash -c {shlex.quote(worker)}'))}; exit $?"]


def behind_a_subshell(pod: Pod, worker: str) -> list[str]:
    return ["/bin/sh", "-c", f"(true; {worker}; exit $?); exit $?"]


def behind_tini(pod: Pod, worker: str) -> list[str]:
    return [_need("tini"), "-s", "--", *shlex.split(worker)]


def behind_tini_and_shell(pod: Pod, worker: str) -> list[str]:
    return [_need("tini"), "-s", "--", *behind_dash(pod, worker)]


def behind_dumb_init(pod: Pod, worker: str) -> list[str]:
    return [_need("dumb-init"), "--", *shlex.split(worker)]


def _need(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


BEHIND = (
    behind_and,
    behind_dash,
    behind_bash,
    behind_bash_that_stays,
    behind_bash_with_an_exit_trap,
    behind_mksh,
    behind_busybox,
    behind_a_script_with_exec,
    behind_a_script_without_exec,
    behind_two_shells,
    behind_four_shells,
    behind_a_subshell,
    behind_tini,
    behind_tini_and_shell,
    behind_dumb_init,
)


BEHIND_AND_SIGNAL = [
    *((behind, "TERM") for behind in BEHIND),
    *((behind, "QUIT") for behind in (behind_dash, behind_bash_that_stays, behind_busybox, behind_two_shells)),
    *((behind, "INT") for behind in (behind_dash, behind_bash_that_stays, behind_busybox)),
]


@pytest.mark.parametrize(
    ("behind", "name"), BEHIND_AND_SIGNAL, ids=[f"{behind.__name__}-{name}" for behind, name in BEHIND_AND_SIGNAL]
)
@in_all_pods
def test_the_worker_behind_a_shell_or_an_init_gets_the_signal_and_ends_before_it(
    pod: Pod, behind: Callable[[Pod, str], list[str]], name: str
) -> None:
    pod.journal.hold()
    container = pod.signal_mode(name, behind(pod, shlex.join(pod.consumer(name, 7))))
    pod.journal.until("ready")
    container.signal("TERM")
    pod.journal.until("heard")
    stays("all at work", lambda: container.running and heard(pod) == [f"heard {name}"])
    pod.journal.release()
    assert container.wait() == 7
    assert pod.journal.lines[-1] == "end"


@pytest.mark.parametrize(
    ("inner", "name"),
    [
        ("dash", "TERM"),
        ("dash", "USR2"),
        ("bash", "TERM"),
        ("bash", "HUP"),
        ("busybox sh", "TERM"),
        ("busybox sh", "USR1"),
    ],
)
@in_all_pods
def test_a_shell_with_a_handler_of_its_own_is_the_worker(pod: Pod, inner: str, name: str) -> None:
    _need(inner.split(maxsplit=1)[0])
    argv = [*inner.split(), str(WORKERS / "handler.sh"), str(pod.journal.path), name]
    container = pod.signal_mode(name, argv)
    pod.journal.until("ready")
    container.signal("TERM")
    assert container.wait(5) == 7
    assert heard(pod) == [f"heard {name}"]


@pytest.mark.parametrize("name", ["TERM", "INT", "QUIT"])
@pytest.mark.parametrize("between", ["dash", "bash", "busybox sh"])
@in_all_pods
def test_a_signal_while_a_shell_prepares_the_worker_is_not_lost(pod: Pod, between: str, name: str) -> None:
    _need(between.split(maxsplit=1)[0])
    pod.journal.hold()
    wait = f"while [ -e {pod.journal.path}.hold ]; do :; done"
    script = f"echo 0 preparing >>{pod.journal.path}; {wait}; {shlex.join(pod.consumer(name, 7))}; exit $?"
    container = pod.signal_mode(name, [*between.split(), "-c", script])
    pod.journal.until("preparing")
    container.signal("TERM")
    time.sleep(0.1)
    pod.journal.release()
    assert_heard_or_not_started(pod, container, name)


@pytest.mark.parametrize("name", ["INT", "QUIT"])
@in_all_pods
def test_a_signal_while_a_program_prepares_the_worker_is_not_lost(pod: Pod, name: str) -> None:
    prepare = pod.program("prepare", f"#!/bin/sh\necho 0 preparing >>{pod.journal.path}\nexec sleep 0.5\n")
    script = f"{prepare} && {shlex.join(pod.consumer(name, 7))}; exit $?"
    container = pod.signal_mode(name, ["/bin/sh", "-c", script])
    pod.journal.until("preparing")
    container.signal("TERM")
    assert_heard_or_not_started(pod, container, name)


@pytest.mark.parametrize("name", ["TERM", "INT", "QUIT"])
@in_all_pods
def test_the_worker_gets_the_signal_beside_a_helper_that_ignores_it(pod: Pod, name: str) -> None:
    helper = f"(trap '' {name}; exec sleep 600) & echo $! >{pod.room}/helper"
    script = (
        f"{helper}; {shlex.join(pod.consumer(name, 7))}; code=$?; kill -s KILL $(cat {pod.room}/helper); exit $code"
    )
    container = pod.signal_mode(name, ["/bin/sh", "-c", script])
    pod.journal.until("ready")
    container.signal("TERM")
    assert container.wait(5) == 7
    assert heard(pod) == [f"heard {name}"]


def until_the_worker_has_a_process(container: Process, go: Path) -> None:
    rm = container.child()
    go.touch()
    until("the worker's process", lambda: set(children(container.pid)) - {rm}, poll=0)


def test_a_stop_signal_at_the_moment_of_the_workers_start_is_not_lost(pod: Pod) -> None:
    if pod.name == "mksh":  # now and then; no real image has it as /bin/sh
        pytest.skip("mksh may swallow a signal in the moment in which its child becomes the program")
    go = pod.room / "go"
    rm = shutil.which("rm")
    pod.tool("rm", f'#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.01; done\n{rm} {go}\nexec {rm} "$@"\n')
    pod.folder().mkdir()
    ends = set()
    for _ in range(15):
        container = pod.signal_mode("TERM", ["sleep", "600"])
        until_the_worker_has_a_process(container, go)
        container.signal("TERM")
        ends.add(container.wait(5))
    assert ends <= {0, 128 + number("TERM")}


@pytest.mark.parametrize("signalled", [False, True], ids=["by-itself", "signalled"])
def test_the_container_ends_within_100_ms_of_the_worker(pod: Pod, signalled: bool, measure: Measure) -> None:
    gaps = []
    for _ in range(3):
        pod.journal.path.unlink(missing_ok=True)
        pod.journal.hold()
        container = pod.signal_mode("TERM", pod.consumer("TERM") if signalled else pod.message())
        pod.journal.until("ready" if signalled else "begin")
        worker = os.pidfd_open(container.child())
        if signalled:
            container.signal("TERM")
            pod.journal.until("heard")
        pod.journal.release()
        last = first_end(worker)
        os.close(worker)
        assert container.wait() == 0
        gaps.append((container.ended - last) / 1e9)
        measure("end of the worker → end of the container, signal", gaps[-1], pod)
    assert statistics.median(gaps) < 0.1


def test_the_signal_reaches_the_worker_at_once(pod: Pod, measure: Measure) -> None:
    container = ready(pod, "TERM")
    sent = time.monotonic_ns()
    container.signal("TERM")
    assert container.wait() == 0
    got = next(when for when, what in pod.journal.events if what.startswith("heard"))
    measure("stop signal → the worker hears it", (got - sent) / 1e9, pod)
    assert got - sent < 0.5e9
