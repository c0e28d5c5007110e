"""The sidecars' preStop hook: it waits until the workers have ended, and for nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .measurements import Measure
from .pods import BROUGHT, Pod, Process, Setting, assert_stays, in_all_pods, now, until
from .test_arguments import HARD, arrived
from .test_process_environment import HARD as HARD_ENVIRONMENT
from .test_process_environment import LIST, entries

if TYPE_CHECKING:
    from collections.abc import Iterator


def touch_all(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.touch()


@contextmanager
def simulated_worker(pod: Pod, name: str, drains: bool = True) -> Iterator[None]:
    """Simulate a worker: create its files, and hold its FIFO until the end of the context."""
    pod.folder(name).mkdir(exist_ok=True)
    if not pod.alive(name).exists():
        os.mkfifo(pod.alive(name))
    holder = os.open(pod.alive(name), os.O_RDWR | os.O_CLOEXEC)
    if drains:
        pod.kill_me(name).write_text(f"{now()}\n")
    try:
        yield
    finally:
        os.close(holder)


def members(session: int) -> list[int]:
    """Return the running processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _, _, its_session = stat.read_text().rpartition(") ")[2].split()[:4]
            found += [int(stat.parent.name)] * (state != "Z" and int(its_session) == session)
    return found


def loop(pod: Pod) -> Process:
    container = pod.start_loop(pod.message())
    pod.journal.until("begin")
    pod.drain(container)
    return container


def parent(pod: Pod) -> Process:
    container = pod.start_parent(pod.consumer())
    pod.journal.until("ready")
    pod.drain(container)
    container.signal("TERM")
    return container


def bare_worker(pod: Pod) -> Process:
    if pod.setting is Setting.CHILD:
        pytest.skip("process 1 is this machine's")
    container = pod.start_bare(pod.consumer())
    pod.journal.until("ready")
    assert pod.pre_stop(container, action="listen 15 30").wait() == 0
    container.signal("TERM")
    return container


def untouched_and_sent(pod: Pod) -> Process:
    if pod.setting is Setting.CHILD:
        pytest.skip("process 1 is this machine's")
    container = pod.start_bare(pod.consumer())
    pod.journal.until("ready")
    pod.pre_stop(container, action="send 15 0")
    pod.journal.until("heard")
    return container


WORKERS = pytest.mark.parametrize(
    "draining", [loop, parent, bare_worker, untouched_and_sent], ids=lambda way: way.__name__
)
Draining = Callable[[Pod], Process]


@WORKERS
@in_all_pods
def test_a_sidecar_waits_for_a_draining_worker_and_not_a_second_longer(
    pod: Pod, draining: Draining, measure: Measure
) -> None:
    pod.journal.hold()
    container = draining(pod)
    sidecar = pod.sidecar_pre_stop()
    assert_stays("the sidecar waits", lambda: sidecar.running, 0.5)
    pod.journal.release()
    assert container.wait() == 0
    assert sidecar.wait() == 0
    seconds = (sidecar.ended - container.ended) / 1e9
    measure("end of the worker → sidecar is let go", seconds, pod)
    assert -0.5 < seconds < 1.5


@WORKERS
@in_all_pods
def test_a_sidecar_is_released_within_a_second_after_a_worker_was_killed(
    pod: Pod, draining: Draining, measure: Measure
) -> None:
    if pod.setting is Setting.CHILD:
        pytest.skip("only the end of a PID namespace frees the FIFO")
    pod.journal.hold()
    container = draining(pod)
    sidecar = pod.sidecar_pre_stop()
    assert_stays("the sidecar waits", lambda: sidecar.running, 0.5)
    container.signal("KILL")
    container.wait()
    assert sidecar.wait() == 0
    seconds = (sidecar.ended - container.ended) / 1e9
    measure("death of the worker → sidecar is let go", seconds, pod)
    assert seconds < 1.5


@in_all_pods
def test_a_sidecar_is_released_at_once_if_all_workers_have_ended(pod: Pod, measure: Measure) -> None:
    workers = ("one", "two")
    touch_all(*map(pod.kill_sidecar, workers))
    sidecar = pod.sidecar_pre_stop(workers=workers)
    assert sidecar.wait() == 0
    measure("sidecar's preStop hook when all workers have ended", sidecar.seconds, pod)
    assert sidecar.seconds < 2


@in_all_pods
def test_a_sidecar_waits_beyond_its_first_timeout_for_a_worker_whose_drain_starts_a_little_later(pod: Pod) -> None:
    with simulated_worker(pod, "worker", drains=False):
        sidecar = pod.sidecar_pre_stop()
        time.sleep(0.7)
        pod.kill_me().write_text(f"{now()}\n")
        assert_stays("the sidecar waits", lambda: sidecar.running, 4.5)
    assert sidecar.wait(3) == 0


@in_all_pods
def test_a_sidecar_waits_for_every_worker_however_they_end(pod: Pod) -> None:
    with simulated_worker(pod, "first"):
        with simulated_worker(pod, "second"):
            sidecar = pod.sidecar_pre_stop(workers=("first", "second"))
            assert_stays("the sidecar waits", lambda: sidecar.running, 0.4)
        assert_stays("the sidecar waits", lambda: sidecar.running, 0.4)
        touch_all(pod.kill_sidecar("second"))
        assert_stays("the sidecar waits", lambda: sidecar.running, 0.4)
    assert sidecar.wait(3) == 0


@in_all_pods
def test_a_sidecar_is_released_within_five_seconds_if_no_worker_drains(pod: Pod, measure: Measure) -> None:
    """The sidecar's own liveness probe has failed, and the workers continue."""
    with simulated_worker(pod, "worker", drains=False):
        sidecar = pod.sidecar_pre_stop()
        assert sidecar.wait(9) == 0
    measure("sidecar's preStop hook when no worker drains", sidecar.seconds, pod)
    assert 3 < sidecar.seconds < 7


@in_all_pods
def test_a_kill_file_of_an_earlier_restart_or_a_worker_that_never_started_does_not_hold_a_sidecar(pod: Pod) -> None:
    """No script of ours runs in the restarted worker, so no process holds its FIFO."""
    with simulated_worker(pod, "worker"):
        pod.kill_me().write_text(f"{now() - 6000}\n")
    sidecar = pod.sidecar_pre_stop(workers=("worker", "never-started"))
    assert sidecar.wait(9) == 0
    assert sidecar.stderr == ""


@in_all_pods
def test_a_kill_file_of_an_earlier_liveness_restart_does_not_release_a_sidecar_early(pod: Pod) -> None:
    """The pod ends now, and the worker's hook is about to write the time of this drain and to hold the FIFO."""
    with simulated_worker(pod, "worker"):
        pod.kill_me().write_text(f"{now() - 50}\n")
    sidecar = pod.sidecar_pre_stop()
    time.sleep(0.5)
    with simulated_worker(pod, "worker"):
        assert_stays("the sidecar waits", lambda: sidecar.running, 1)
    assert sidecar.wait(3) == 0


@in_all_pods
def test_a_sidecar_does_not_wait_if_the_volume_is_missing(pod: Pod) -> None:
    if pod.name == BROUGHT:
        pytest.skip("the shell is in the volume")
    pod.volume.rmdir()
    assert pod.sidecar_pre_stop().wait(9) == 0


@in_all_pods
def test_without_a_fifo_a_heartbeat_holds_a_sidecar(pod: Pod) -> None:
    pod.folder().mkdir()
    pod.kill_me().write_text(f"{now()}\n")
    sidecar = pod.sidecar_pre_stop()
    for beat in range(3):
        pod.heartbeat().write_text(f"{beat % 2}\n")
        assert_stays("the sidecar waits", lambda: sidecar.running, 0.5)
    touch_all(pod.kill_sidecar())
    assert sidecar.wait(3) == 0


@in_all_pods
def test_without_a_fifo_a_sidecar_is_released_when_the_heartbeat_stops(pod: Pod) -> None:
    pod.folder().mkdir()
    pod.kill_me().write_text(f"{now()}\n")
    pod.heartbeat().write_text("1\n")
    pod.skip_where_applets_come_first()
    pod.tool("sleep", f"#!/bin/sh\nexec {shutil.which('sleep')} 0.05\n")
    sidecar = pod.sidecar_pre_stop(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert sidecar.read_to_end(30) == (b"", b"")
    assert sidecar.wait() == 0
    assert sidecar.seconds > 0.9  # twenty sleeps of one second, each shortened to 0.05 s


@in_all_pods
def test_the_hook_writes_the_kill_file_for_the_sidecars_own_parent(pod: Pod) -> None:
    touch_all(pod.kill_sidecar())
    before = now()
    assert pod.sidecar_pre_stop(own="sidecar").wait() == 0
    assert before <= int(pod.kill_me("sidecar").read_text()) <= now()
    assert pod.sidecar_pre_stop().wait() == 0
    assert sorted(path.name for path in pod.volume.iterdir() if path.name != ".bin") == ["sidecar", "worker"]


@in_all_pods
def test_the_chained_hook_runs_after_the_workers_end(pod: Pod) -> None:
    done = pod.directory / "done"
    with simulated_worker(pod, "worker"):
        sidecar = pod.sidecar_pre_stop(["touch", str(done)])
        assert_stays("the chained hook waits", lambda: sidecar.running and not done.exists(), 0.4)
    assert sidecar.wait(3) == 0
    assert done.exists()


@in_all_pods
def test_every_argument_of_the_chained_hook_arrives_unchanged(pod: Pod) -> None:
    if pod.name == "yash":  # drops bytes that the locale cannot decode
        pod.environment["LC_ALL"] = "C.UTF-8"
    touch_all(pod.kill_sidecar())
    words = [*HARD, "$$", "$(PATH)"]
    file = pod.directory / "arguments"
    assert pod.sidecar_pre_stop(pod.worker("arguments.py", file, *words)).wait() == 3
    assert arrived(file) == words


@in_all_pods
def test_the_chained_hook_gets_the_containers_environment_byte_for_byte(pod: Pod) -> None:
    pod.environment |= HARD_ENVIRONMENT
    if pod.name == "yash":
        pod.environment["LC_ALL"] = "C.UTF-8"
    with simulated_worker(pod, "worker"):
        bare, chained = pod.start_bare(LIST), pod.sidecar_pre_stop(LIST)
        assert_stays("the chained hook waits", lambda: chained.running, 0.4)
    assert bare.wait() == chained.wait() == 1
    assert entries(chained.stdout) == entries(bare.stdout)


@pytest.mark.parametrize("code", [0, 7])
@in_all_pods
def test_the_hook_has_the_exit_code_of_the_chained_hook(pod: Pod, code: int) -> None:
    touch_all(pod.kill_sidecar())
    assert pod.sidecar_pre_stop(["/bin/sh", "-c", f"exit {code}"]).wait() == code


@in_all_pods
def test_a_chained_hook_that_never_ends_is_killed_one_original_grace_period_after_the_workers_end(pod: Pod) -> None:
    text = f"touch {pod.directory}/begun; while true; do sleep 600; done"
    with simulated_worker(pod, "worker"):
        hook = pod.sidecar_pre_stop(["/bin/sh", "-c", text], grace=2, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert_stays("the sidecar waits", lambda: hook.running, 3)
    until("it begins", (pod.directory / "begun").exists)
    begin = time.monotonic()
    # Processes that the hook has started do not delay the reader of its output.
    assert hook.read_to_end(10) == (b"", b"")
    assert 1 < time.monotonic() - begin < 6
    assert hook.wait() != 0


@in_all_pods
def test_no_process_of_ours_outlives_the_chained_hook_for_long(pod: Pod) -> None:
    touch_all(pod.kill_sidecar())
    hook = pod.sidecar_pre_stop(["true"], grace=60)
    assert hook.wait() == 0
    until("the watch over it ends", lambda: not members(hook.pid))


@in_all_pods
def test_the_hook_writes_no_output_and_leaves_no_pipe_open(pod: Pod) -> None:
    with simulated_worker(pod, "worker"):
        hook = pod.sidecar_pre_stop(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert_stays("the sidecar waits", lambda: hook.running)
    assert hook.read_to_end(5) == (b"", b"")


@in_all_pods
def test_a_signal_does_not_end_the_wait(pod: Pod) -> None:
    """A `pkill -f` in the pod's original hook sends one, as our own command line contains the original hook's words."""
    with simulated_worker(pod, "worker"):
        sidecar = pod.sidecar_pre_stop()
        assert_stays("the sidecar waits", lambda: sidecar.running, 0.4)
        sidecar.signal("TERM")
        assert_stays("the sidecar waits", lambda: sidecar.running, 0.4)
    assert sidecar.wait(3) == 0


@in_all_pods
def test_the_hook_works_if_sleep_supports_only_whole_seconds(pod: Pod) -> None:
    pod.install_sleep_without_fractions()
    sidecar = pod.sidecar_pre_stop()
    time.sleep(0.3)
    with simulated_worker(pod, "worker"):
        until("the FIFO is read", lambda: sidecar.running)
        assert_stays("the sidecar waits", lambda: sidecar.running, 1.5)
    assert sidecar.wait(3) == 0
    assert sidecar.stderr == ""
