"""The sidecars' preStop hook: it waits for the workers, and for nothing else."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from .measurements import Measure
from .pods import BROUGHT, Pod, Process, Setting, in_all_pods, stays, until
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


def kill(pod: Pod, container: Process) -> None:
    """Kill a container with all that runs in it."""
    container.signal("KILL")
    container.wait()
    if pod.setting is Setting.CHILD:
        container.remove()
        pod.processes[1].remove()  # its hook


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


def test_a_sidecar_is_let_go_at_once_when_all_workers_have_ended(pod: Pod, measure: Measure) -> None:
    workers = ("one", "two")
    write(*map(pod.kill_sidecar, workers))
    sidecar = pod.sidecar_pre_stop(workers=workers)
    assert sidecar.wait() == 0
    measure("sidecar's preStop hook when all workers have ended", sidecar.seconds, pod)
    assert sidecar.seconds < 1


def test_a_sidecar_waits_for_a_draining_worker_and_not_a_second_longer(pod: Pod, measure: Measure) -> None:
    container = draining(pod)
    sidecar = pod.sidecar_pre_stop()
    stays("the sidecar waits", lambda: sidecar.running, 0.5)
    pod.journal.release()
    assert container.wait() == 0
    assert sidecar.wait() == 0
    seconds = (sidecar.ended - container.ended) / 1e9
    measure("end of the worker → sidecar is let go", seconds, pod)
    assert 0 <= seconds < 1


@in_all_pods
def test_a_sidecar_waits_longer_than_its_patience_for_a_draining_worker(pod: Pod) -> None:
    pod.sleep_faster(5)
    container = draining(pod)
    sidecar = pod.sidecar_pre_stop()
    stays("the sidecar waits", lambda: sidecar.running, 2)
    pod.journal.release()
    assert container.wait() == 0
    assert sidecar.wait(2) == 0


@in_all_pods
def test_a_sidecar_waits_for_a_worker_that_is_drained_a_little_later(pod: Pod) -> None:
    pod.sleep_faster(5)
    pod.journal.hold()
    container = pod.start(pod.message())
    pod.journal.until("begin")
    sidecar = pod.sidecar_pre_stop()
    time.sleep(0.4)
    pod.drain(container)
    stays("the sidecar waits", lambda: sidecar.running, 1.5)
    pod.journal.release()
    assert container.wait() == 0
    assert sidecar.wait(2) == 0


@in_all_pods
def test_a_sidecar_waits_for_every_worker(pod: Pod) -> None:
    first, second = Beating(pod, "first"), Beating(pod, "second")
    sidecar = pod.sidecar_pre_stop(workers=("first", "second"))
    stays("the sidecar waits", lambda: first.beat() and second.beat() and sidecar.running, 0.5)
    write(pod.kill_sidecar("second"))
    stays("the sidecar waits", lambda: first.beat() and sidecar.running, 0.5)
    write(pod.kill_sidecar("first"))
    assert sidecar.wait(2) == 0


@pytest.mark.slow
@in_all_pods
def test_a_sidecar_waits_for_one_worker_when_the_other_one_was_killed(pod: Pod) -> None:
    pod.sleep_faster(5)
    killed, alive = Beating(pod, "killed"), Beating(pod, "alive")
    killed.beat()
    sidecar = pod.sidecar_pre_stop(workers=("killed", "alive"))
    stays("the sidecar waits", lambda: alive.beat() and sidecar.running, 5.5)
    write(pod.kill_sidecar("alive"))
    assert sidecar.wait(12) == 0


@in_all_pods
def test_a_sidecar_does_not_wait_for_workers_of_which_none_drains(pod: Pod) -> None:
    pod.sleep_faster(5)
    pod.start(["/bin/sleep", "10"])
    until("the worker's folder", pod.folder().exists)
    sidecar = pod.sidecar_pre_stop()
    assert sidecar.wait(4) == 0
    assert sidecar.seconds > 0.4


@in_all_pods
def test_a_sidecar_does_not_wait_for_a_worker_that_never_started(pod: Pod) -> None:
    pod.sleep_faster(5)
    sidecar = pod.sidecar_pre_stop(workers=("one", "two"))
    assert sidecar.wait(4) == 0
    assert sidecar.stderr == ""


@in_all_pods
def test_a_sidecar_does_not_wait_for_a_worker_of_which_the_volume_is_missing(pod: Pod) -> None:
    if pod.name == BROUGHT:
        pytest.skip("without the volume there is no shell")
    pod.sleep_faster(5)
    pod.volume.rmdir()
    assert pod.sidecar_pre_stop().wait(4) == 0


@in_all_pods
def test_a_sidecar_does_not_wait_for_a_worker_that_was_killed_while_it_drained(pod: Pod) -> None:
    pod.sleep_faster(5)
    container = draining(pod)
    sidecar = pod.sidecar_pre_stop()
    stays("the sidecar waits", lambda: sidecar.running, 1)
    kill(pod, container)
    assert sidecar.wait(10) == 0


@in_all_pods
def test_a_draining_worker_without_a_heartbeat_holds_a_sidecar_for_a_while_only(pod: Pod) -> None:
    pod.sleep_faster(5)
    write(pod.kill_me())
    sidecar = pod.sidecar_pre_stop()
    assert sidecar.wait(10) == 0
    assert sidecar.seconds > 3


@in_all_pods
def test_the_chained_hook_runs_after_the_workers_end(pod: Pod) -> None:
    container = draining(pod)
    done = pod.room / "done"
    sidecar = pod.sidecar_pre_stop(["touch", str(done)])
    stays("the chained hook waits", lambda: sidecar.running and not done.exists(), 0.4)
    pod.journal.release()
    container.wait()
    assert sidecar.wait(2) == 0
    assert done.exists()


def test_every_argument_of_the_chained_hook_arrives_untouched(pod: Pod) -> None:
    if pod.name == "yash":  # drops what the locale cannot read
        pod.environment["LC_ALL"] = "C.UTF-8"
    write(pod.kill_sidecar())
    words = [*HARD, "$$", "$(PATH)"]
    file = pod.room / "arguments"
    assert pod.sidecar_pre_stop(pod.worker("arguments.py", file, *words)).wait() == 3
    assert arrived(file) == words


@pytest.mark.parametrize("code", [0, 1, 7])
@in_all_pods
def test_the_chained_hooks_exit_code_is_the_hooks(pod: Pod, code: int) -> None:
    write(pod.kill_sidecar())
    assert pod.sidecar_pre_stop(["/bin/sh", "-c", f"exit {code}"]).wait() == code


@in_all_pods
def test_the_hook_is_silent_and_leaves_no_pipe_open(pod: Pod) -> None:
    pod.sleep_faster(5)
    write(pod.kill_me())
    hook = pod.sidecar_pre_stop(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert hook.read_to_end(12) == (b"", b"")


@in_all_pods
def test_the_hook_works_where_sleep_knows_whole_seconds_only(pod: Pod) -> None:
    pod.sleep_whole_seconds_only()
    write(pod.kill_me())
    sidecar = pod.sidecar_pre_stop()
    stays("the sidecar waits", lambda: sidecar.running, 0.5)
    write(pod.kill_sidecar())
    assert sidecar.wait(2.5) == 0
    assert sidecar.stderr == ""


@in_all_pods
def test_the_hook_works_under_a_hostile_environment(pod: Pod) -> None:
    pod.environment |= {"IFS": "/", "gw_working": "1", "gw_folder": "/", "gw_silence": "1000", "gw_workers": "/"}
    write(pod.kill_me("one"), pod.kill_me("two"))
    sidecar = pod.sidecar_pre_stop(workers=("one", "two"))
    stays("the sidecar waits", lambda: sidecar.running, 0.5)
    write(pod.kill_sidecar("one"), pod.kill_sidecar("two"))
    assert sidecar.wait(2) == 0


# What follows waits in real time.


@pytest.mark.slow
@in_all_pods
def test_a_sidecar_waits_for_a_draining_worker_that_takes_longer_than_the_longest_silence(pod: Pod) -> None:
    container = draining(pod)
    sidecar = pod.sidecar_pre_stop()
    stays("the sidecar waits", lambda: sidecar.running, 25)
    pod.journal.release()
    assert container.wait() == 0
    assert sidecar.wait(2) == 0


@pytest.mark.slow
@in_all_pods
def test_a_sidecar_is_let_go_within_30_seconds_of_the_end_of_a_killed_worker(pod: Pod, measure: Measure) -> None:
    container = draining(pod)
    sidecar = pod.sidecar_pre_stop()
    time.sleep(0.5)
    kill(pod, container)
    assert sidecar.wait(30) == 0
    seconds = (sidecar.ended - container.ended) / 1e9
    measure("death of a draining worker → sidecar is let go", seconds, pod)
    assert 10 < seconds < 30


@pytest.mark.slow
@in_all_pods
def test_a_sidecar_waits_about_five_seconds_when_no_worker_drains(pod: Pod, measure: Measure) -> None:
    sidecar = pod.sidecar_pre_stop()
    assert sidecar.wait() == 0
    measure("sidecar's preStop hook when no worker drains", sidecar.seconds, pod)
    assert 4 < sidecar.seconds < 8
