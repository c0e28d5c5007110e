"""The sidecars' preStop hook: it waits for the workers, and for nothing else."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Measure
from .pods import Pod, Process, stays, until
from .test_arguments import HARD, arrived


def write(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.touch()


def draining(pod: Pod) -> Process:
    """Start a worker that is at a message, and drain it; the journal's release ends it."""
    pod.journal.hold()
    container = pod.start(pod.message())
    pod.journal.until("begin")
    pod.drain(container)
    until("a heartbeat", pod.heartbeat().exists)
    return container


class Beating:
    """A worker in name only: its files, with a heartbeat whenever it is told."""

    def __init__(self, pod: Pod, name: str) -> None:
        write(pod.kill_me(name))
        self.file = pod.heartbeat(name)
        self.number = 0

    def beat(self) -> bool:
        self.number += 1
        self.file.write_text(f"{self.number % 2}\n")
        return True


def test_a_sidecar_is_let_go_at_once_when_all_workers_have_ended(plain_pod: Pod, measure: Measure) -> None:
    workers = ("one", "two")
    write(*map(plain_pod.kill_sidecar, workers))
    sidecar = plain_pod.sidecar_pre_stop(workers=workers)
    assert sidecar.wait() == 0
    measure("sidecar's preStop hook when all workers have ended", sidecar.seconds)
    assert sidecar.seconds < 1


def test_a_sidecar_waits_for_a_draining_worker_and_not_a_second_longer(pod: Pod, measure: Measure) -> None:
    container = draining(pod)
    sidecar = pod.sidecar_pre_stop()
    stays("the sidecar waits", lambda: sidecar.running, 0.5)
    pod.journal.release()
    assert container.wait() == 0
    assert sidecar.wait() == 0
    seconds = (sidecar.ended - container.ended) / 1e9
    measure("end of the worker → sidecar is let go", seconds)
    assert 0 <= seconds < 1


def test_a_sidecar_waits_longer_than_its_patience_for_a_draining_worker(pod: Pod) -> None:
    pod.sleep_faster(10)
    container = draining(pod)
    sidecar = pod.sidecar_pre_stop()
    stays("the sidecar waits", lambda: sidecar.running, 1.2)
    pod.journal.release()
    assert container.wait() == 0
    assert sidecar.wait(2) == 0


def test_a_sidecar_waits_for_a_worker_that_is_drained_a_little_later(pod: Pod) -> None:
    pod.sleep_faster(4)
    pod.journal.hold()
    container = pod.start(pod.message())
    pod.journal.until("begin")
    sidecar = pod.sidecar_pre_stop()
    time.sleep(0.4)
    pod.drain(container)
    stays("the sidecar waits", lambda: sidecar.running, 2)
    pod.journal.release()
    assert container.wait() == 0
    assert sidecar.wait(2) == 0


def test_a_sidecar_waits_for_every_worker(pod: Pod) -> None:
    first, second = Beating(pod, "first"), Beating(pod, "second")
    sidecar = pod.sidecar_pre_stop(workers=("first", "second"))
    stays("the sidecar waits", lambda: first.beat() and second.beat() and sidecar.running, 0.5)
    write(pod.kill_sidecar("second"))
    stays("the sidecar waits", lambda: first.beat() and sidecar.running, 0.5)
    write(pod.kill_sidecar("first"))
    assert sidecar.wait(2) == 0


def test_a_sidecar_waits_for_one_worker_when_the_other_one_was_killed(pod: Pod) -> None:
    pod.sleep_faster(20)
    killed, alive = Beating(pod, "killed"), Beating(pod, "alive")
    killed.beat()
    sidecar = pod.sidecar_pre_stop(workers=("killed", "alive"))
    stays("the sidecar waits", lambda: alive.beat() and sidecar.running, 2.5)
    write(pod.kill_sidecar("alive"))
    assert sidecar.wait(5) == 0


def test_a_sidecar_does_not_wait_for_workers_of_which_none_drains(plain_pod: Pod) -> None:
    plain_pod.sleep_faster(10)
    plain_pod.start(["sleep", "1"])
    until("the worker's folder", plain_pod.folder().exists)
    sidecar = plain_pod.sidecar_pre_stop()
    assert sidecar.wait(3) == 0
    assert sidecar.seconds > 0.4


def test_a_sidecar_does_not_wait_for_a_worker_that_never_started(plain_pod: Pod) -> None:
    plain_pod.sleep_faster(10)
    sidecar = plain_pod.sidecar_pre_stop(workers=("one", "two"))
    assert sidecar.wait(3) == 0
    assert sidecar.stderr == ""


def test_a_sidecar_does_not_wait_for_a_worker_of_which_the_volume_is_missing(plain_pod: Pod) -> None:
    plain_pod.sleep_faster(10)
    plain_pod.volume.rmdir()
    assert plain_pod.sidecar_pre_stop().wait(3) == 0


def test_a_sidecar_does_not_wait_for_a_worker_that_was_killed_while_it_drained(pod: Pod) -> None:
    pod.sleep_faster(10)
    container = draining(pod)
    sidecar = pod.sidecar_pre_stop()
    stays("the sidecar waits", lambda: sidecar.running, 1)
    container.signal("KILL")
    container.wait()
    for process in pod.processes:
        if process not in (sidecar, container):  # without a namespace of its own, the hook's heart has to be stopped
            process.remove()
    assert sidecar.wait(6) == 0


def test_a_draining_worker_without_a_heartbeat_holds_a_sidecar_for_a_while_only(plain_pod: Pod) -> None:
    plain_pod.sleep_faster(10)
    write(plain_pod.kill_me())
    sidecar = plain_pod.sidecar_pre_stop()
    assert sidecar.wait(6) == 0
    assert sidecar.seconds > 1.5


def test_the_chained_hook_runs_after_the_workers_end(pod: Pod) -> None:
    container = draining(pod)
    done = pod.room / "done"
    sidecar = pod.sidecar_pre_stop(["touch", str(done)])
    stays("the chained hook waits", lambda: sidecar.running and not done.exists(), 0.4)
    pod.journal.release()
    container.wait()
    assert sidecar.wait(2) == 0
    assert done.exists()


def test_every_argument_of_the_chained_hook_arrives_untouched(plain_pod: Pod) -> None:
    if Path(plain_pod.shell).name == "yash":  # drops what the locale cannot read
        plain_pod.environment["LC_ALL"] = "C.UTF-8"
    write(plain_pod.kill_sidecar())
    words = [*HARD, "$$", "$(PATH)"]
    file = plain_pod.room / "arguments"
    assert plain_pod.sidecar_pre_stop(plain_pod.worker("arguments.py", file, *words)).wait() == 3
    assert arrived(file) == words


@pytest.mark.parametrize("code", [0, 1, 7])
def test_the_chained_hooks_exit_code_is_the_hooks(plain_pod: Pod, code: int) -> None:
    write(plain_pod.kill_sidecar())
    assert plain_pod.sidecar_pre_stop(["/bin/sh", "-c", f"exit {code}"]).wait() == code


def test_the_hook_is_silent_and_leaves_no_pipe_open(plain_pod: Pod) -> None:
    plain_pod.sleep_faster(10)
    write(plain_pod.kill_me())
    hook = plain_pod.sidecar_pre_stop(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert hook.popen.communicate(timeout=10) == (b"", b"")


def test_the_hook_works_where_sleep_knows_whole_seconds_only(plain_pod: Pod) -> None:
    plain_pod.sleep_whole_seconds_only()
    write(plain_pod.kill_me())
    sidecar = plain_pod.sidecar_pre_stop()
    stays("the sidecar waits", lambda: sidecar.running, 0.5)
    write(plain_pod.kill_sidecar())
    assert sidecar.wait(2.5) == 0
    assert sidecar.stderr == ""


def test_the_hook_works_under_a_hostile_environment(plain_pod: Pod) -> None:
    plain_pod.environment |= {"IFS": "/", "gw_working": "1", "gw_folder": "/", "gw_silence": "1000", "gw_workers": "/"}
    write(plain_pod.kill_me("one"), plain_pod.kill_me("two"))
    sidecar = plain_pod.sidecar_pre_stop(workers=("one", "two"))
    stays("the sidecar waits", lambda: sidecar.running, 0.5)
    write(plain_pod.kill_sidecar("one"), plain_pod.kill_sidecar("two"))
    assert sidecar.wait(2) == 0


# What follows waits in real time, under all shells at once.


def at_once(pods: dict[str, Pod], start: Callable[[Pod], Process]) -> dict[str, Process]:
    return {name: start(pod) for name, pod in pods.items()}


@pytest.mark.slow
def test_a_sidecar_waits_for_a_draining_worker_that_takes_longer_than_the_longest_silence(pods: dict[str, Pod]) -> None:
    containers = at_once(pods, draining)
    sidecars = at_once(pods, Pod.sidecar_pre_stop)
    stays("all sidecars wait", lambda: all(sidecar.running for sidecar in sidecars.values()), 25)
    for name, pod in pods.items():
        pod.journal.release()
        assert containers[name].wait() == 0
        assert sidecars[name].wait(2) == 0


@pytest.mark.slow
def test_a_sidecar_is_let_go_within_30_seconds_of_the_end_of_a_killed_worker(
    pods: dict[str, Pod], measure: Measure
) -> None:
    containers = at_once(pods, draining)
    sidecars = at_once(pods, Pod.sidecar_pre_stop)
    time.sleep(1)
    for name, container in containers.items():
        pods[name].processes[1].remove()
        container.signal("KILL")
        container.wait()
    for name, sidecar in sidecars.items():
        assert sidecar.wait(30) == 0
        seconds = (sidecar.ended - containers[name].ended) / 1e9
        measure("death of a draining worker → sidecar is let go", seconds, name)
        assert 10 < seconds < 30


@pytest.mark.slow
def test_a_sidecar_waits_about_five_seconds_when_no_worker_drains(pods: dict[str, Pod], measure: Measure) -> None:
    sidecars = at_once(pods, Pod.sidecar_pre_stop)
    for name, sidecar in sidecars.items():
        assert sidecar.wait() == 0
        measure("sidecar's preStop hook when no worker drains", sidecar.seconds, name)
        assert 4 < sidecar.seconds < 8
