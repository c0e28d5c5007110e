"""Rules 4 and 6: the files in the volume, and what happens if the volume cannot be used."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from .pods import BROUGHT, Pod, Process, assert_stays, in_all_pods, until
from .test_arguments import BY_START, Start
from .test_worker_hook import fifo_is_held

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can switch to other users"
)

Ending = Callable[[Pod], Process]
VolumeProblem = Callable[[Pod], Sequence[str]]


def leave_stale_files(pod: Pod) -> list[Path]:
    pod.folder().mkdir()
    files = [pod.kill_me(), pod.kill_sidecar(), pod.heartbeat()]
    for file in files:
        file.write_text("1\n")
    return files


@BY_START
@in_all_pods
def test_files_of_the_previous_container_are_removed_before_the_worker_starts(pod: Pod, start: Start) -> None:
    files = leave_stale_files(pod)
    pod.journal.hold()
    container = start(pod, pod.message())
    pod.journal.until("begin")
    assert not any(file.exists() for file in files)
    container.remove()


def halt(pod: Pod, program: str, condition: str = "true") -> tuple[Path, Path]:
    """Let a program of the scripts wait at its first call for which a condition holds.

    Return the file that exists meanwhile, and the one that ends it.
    """
    pod.skip_where_applets_come_first()
    here, go = pod.directory / "here", pod.directory / "go"
    wait = f"if {condition} && mkdir {here}; then until [ -e {go} ]; do sleep 0.01; done; fi 2>/dev/null"
    pod.tool(program, f'#!/bin/sh\n{wait}\nexec {shutil.which(program)} "$@"\n')
    return here, go


@pytest.mark.parametrize("program", ["rm", "mv"], ids=["no-file-before", "old-file-before"])
@BY_START
@in_all_pods
def test_a_kill_file_that_the_hook_creates_while_a_script_removes_old_files_is_kept(
    pod: Pod, start: Start, program: str
) -> None:
    if program == "mv":
        leave_stale_files(pod)
    # The hook renames another file.
    here, go = halt(pod, program, '[ "$2" != new ]')
    container = start(pod, pod.message())
    until("the script at its old files", here.exists)
    # A file of the same tenth of a second may be the previous drain's.
    time.sleep(0.15)
    hook = pod.pre_stop(container, holds=False)
    assert hook.wait() == 0
    go.touch()
    assert container.wait() == 0
    assert pod.kill_me().exists()


@in_all_pods
def test_a_fifo_that_the_hook_creates_at_the_same_moment_is_held(pod: Pod) -> None:
    here, go = halt(pod, "mkfifo")
    container = pod.start_parent(pod.consumer())
    until("the script before its FIFO", here.exists)
    os.mkfifo(pod.alive())
    go.touch()
    pod.journal.until("ready")
    assert fifo_is_held(pod)
    container.remove()


@in_all_pods
def test_a_restarted_loop_runs_and_drains_again(pod: Pod) -> None:
    for _ in range(3):
        pod.journal.path.unlink(missing_ok=True)
        container = pod.start_loop(pod.message())
        pod.journal.until("end", 2)
        pod.drain(container)
        container.signal("TERM")
        assert container.wait() == 0
        assert pod.kill_me().exists()
        assert pod.kill_sidecar().exists()


@in_all_pods
def test_a_restarted_parent_runs_and_drains_again(pod: Pod) -> None:
    for _ in range(3):
        pod.journal.path.unlink(missing_ok=True)
        container = pod.start_parent(pod.consumer(code=3))
        pod.journal.until("ready")
        assert not pod.kill_sidecar().exists()
        pod.drain(container)
        container.signal("TERM")
        assert container.wait() == 3
        assert pod.kill_me().exists()
        assert pod.kill_sidecar().exists()


def by_hook(pod: Pod) -> Process:
    container = pod.start_loop(pod.message())
    pod.journal.until("begin")
    pod.drain(container)
    return container


def by_stop_signal(pod: Pod) -> Process:
    container = pod.start_loop(pod.message())
    pod.journal.until("begin")
    container.signal("TERM")
    return container


def by_stop_signal_in_the_delay(pod: Pod) -> Process:
    container = pod.start_loop(pod.message(), 600)
    pod.journal.until("end")
    container.signal("QUIT")
    return container


def by_failure(pod: Pod) -> Process:
    return pod.start_loop(pod.message(1))


def by_missing_program(pod: Pod) -> Process:
    return pod.start_loop(["/no/such/program"])


def by_folder_in_place_of_a_program(pod: Pod) -> Process:
    return pod.start_loop([str(pod.programs)])


def by_kill_of_the_run(pod: Pod) -> Process:
    pod.journal.hold()
    container = pod.start_loop(pod.message())
    pod.journal.until("begin")
    os.kill(container.worker("message.py"), 9)
    return container


def by_end_below_a_parent(pod: Pod) -> Process:
    return pod.start_parent(pod.message())


def by_failure_below_a_parent(pod: Pod) -> Process:
    return pod.start_parent(pod.message(4))


def by_stop_signal_below_a_parent(pod: Pod) -> Process:
    container = pod.start_parent(pod.consumer())
    pod.journal.until("ready")
    container.signal("TERM")
    return container


def by_the_end_of_the_old_grace_period(pod: Pod) -> Process:
    container = pod.start_parent(["sleep", "600"], grace=0)
    container.worker("600")
    container.signal("TERM")
    return container


def by_missing_program_below_a_parent(pod: Pod) -> Process:
    return pod.start_parent(["/no/such/program"])


ENDINGS = (
    by_hook,
    by_stop_signal,
    by_stop_signal_in_the_delay,
    by_failure,
    by_missing_program,
    by_folder_in_place_of_a_program,
    by_kill_of_the_run,
    by_end_below_a_parent,
    by_failure_below_a_parent,
    by_stop_signal_below_a_parent,
    by_the_end_of_the_old_grace_period,
    by_missing_program_below_a_parent,
)


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.__name__)
@in_all_pods
def test_the_sidecars_are_released_however_the_container_ends(pod: Pod, ending: Ending) -> None:
    ending(pod).wait()
    assert pod.kill_sidecar().exists()


@pytest.mark.parametrize("name", ["TERM", "INT"])
@in_all_pods
def test_the_sidecars_are_not_released_while_a_message_is_processed(pod: Pod, name: str) -> None:
    pod.journal.hold()
    container = pod.start_loop(pod.message())
    pod.journal.until("begin")
    pod.drain(container)
    container.signal(name)
    assert_stays("the sidecars wait", lambda: not pod.kill_sidecar().exists())
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]
    assert pod.kill_sidecar().exists()


@in_all_pods
def test_the_sidecars_are_not_released_while_a_signalled_worker_processes_its_message(pod: Pod) -> None:
    pod.journal.hold()
    container = pod.start_parent(pod.consumer())
    pod.journal.until("ready")
    pod.drain(container)
    container.signal("TERM")
    pod.journal.until("heard TERM")
    assert_stays("the sidecars wait", lambda: container.running and not pod.kill_sidecar().exists())
    pod.journal.release()
    assert container.wait() == 0
    assert pod.kill_sidecar().exists()


def no_folder(pod: Pod) -> Sequence[str]:
    """The volume is missing, so the folder cannot be created."""
    if pod.name == BROUGHT:
        pytest.skip("the shell is in the volume")
    pod.volume.rmdir()
    pod.volume.touch()
    return ()


def read_only(pod: Pod) -> Sequence[str]:
    """The volume belongs to another user."""
    pod.volume.chmod(0o555)
    return NOBODY if os.geteuid() == 0 else ()


def read_only_with_stale_files(pod: Pod) -> Sequence[str]:
    leave_stale_files(pod)
    pod.folder().chmod(0o555)
    return read_only(pod)


VOLUME_PROBLEMS = pytest.mark.parametrize(
    "problem", [no_folder, read_only, read_only_with_stale_files], ids=lambda problem: problem.__name__
)


def writes_lines(pod: Pod) -> list[str]:
    """Return a worker that writes a line per run, under any user ID."""
    pod.journal.path.touch()
    pod.journal.path.chmod(0o666)
    return ["/bin/sh", "-c", f"echo '0 begin' >>{pod.journal.path}"]


@VOLUME_PROBLEMS
@in_all_pods
def test_the_worker_runs_and_ends_without_a_usable_volume(pod: Pod, problem: VolumeProblem) -> None:
    container = pod.start_loop(writes_lines(pod), prefix=problem(pod))
    pod.journal.until("begin", 3)
    container.signal("TERM")
    assert container.wait() == 0


@VOLUME_PROBLEMS
@in_all_pods
def test_an_unusable_volume_is_reported_on_stderr(pod: Pod, problem: VolumeProblem) -> None:
    container = pod.start_loop(writes_lines(pod), prefix=problem(pod))
    pod.journal.until("begin")
    assert f"graceful-worker: cannot write to {pod.folder()}" in container.stderr
    container.signal("TERM")
    container.wait()


@VOLUME_PROBLEMS
@in_all_pods
def test_a_parent_forwards_the_signal_without_a_usable_volume(pod: Pod, problem: VolumeProblem) -> None:
    if pod.name == "mksh":
        pytest.skip("without mkfifo its wait sometimes returns 1; no image has it as /bin/sh")
    pod.journal.path.touch()
    pod.journal.path.chmod(0o666)
    worker = f"trap 'exit 7' TERM; echo 0 ready >>{pod.journal.path}; while :; do sleep 0.05; done"
    container = pod.start_parent(["/bin/sh", "-c", worker], prefix=problem(pod))
    pod.journal.until("ready")
    container.signal("TERM")
    assert container.wait() == 7


@VOLUME_PROBLEMS
@in_all_pods
def test_without_a_usable_volume_a_parent_kills_a_command_that_has_no_handler(pod: Pod, problem: VolumeProblem) -> None:
    container = pod.start_parent(["sleep", "600"], grace=0, prefix=problem(pod))
    container.worker("600")
    container.signal("TERM")
    assert container.wait() == 137


@BY_START
@VOLUME_PROBLEMS
@in_all_pods
def test_without_a_usable_volume_the_container_has_the_exit_code_of_a_failing_run(
    pod: Pod, start: Start, problem: VolumeProblem
) -> None:
    assert start(pod, ["/bin/sh", "-c", "exit 4"], prefix=problem(pod)).wait() == 4


@in_all_pods
def test_an_existing_folder_that_is_not_writable_does_not_stop_the_worker(pod: Pod) -> None:
    pod.folder().mkdir()
    pod.folder().chmod(0o555)
    container = pod.start_loop(writes_lines(pod), prefix=read_only(pod))
    pod.journal.until("begin", 3)
    container.signal("TERM")
    assert container.wait() == 0


@as_root
@BY_START
@in_all_pods
def test_every_user_can_use_the_files_of_a_worker_with_a_strict_umask(pod: Pod, start: Start) -> None:
    pod.journal.hold()
    container = start(pod, pod.message(), umask=0o077)
    pod.journal.until("begin")
    assert pod.pre_stop(container, umask=0o077).wait() == 0
    see = f'test -n "$(cat {pod.kill_me()})" && exec 9<{pod.alive()}'
    subprocess.run([*NOBODY, "/bin/bash", "-c", f"exec 8<>{pod.alive()}; {see}"], check=True)
    pod.journal.release()
    container.signal("TERM")
    container.wait()
    subprocess.run([*NOBODY, "test", "-e", str(pod.kill_sidecar())], check=True)


@as_root
@BY_START
@pytest.mark.parametrize("umask", [0o022, 0o077])
@in_all_pods
def test_a_sidecar_of_another_user_waits_for_the_worker(pod: Pod, start: Start, umask: int) -> None:
    pod.journal.hold()
    container = start(pod, pod.message(), umask=umask)
    pod.journal.until("begin")
    assert pod.pre_stop(container, holds=False, umask=umask).wait() == 0
    sidecar = pod.sidecar_pre_stop(prefix=NOBODY)
    assert_stays("the sidecar waits", lambda: sidecar.running, 1)
    pod.journal.release()
    container.signal("TERM")
    container.wait()
    assert sidecar.wait() == 0
    assert (sidecar.ended - container.ended) / 1e9 < 1


@as_root
@in_all_pods
def test_a_worker_of_another_user_drains(pod: Pod) -> None:
    container = pod.start_loop(writes_lines(pod), prefix=NOBODY)
    pod.journal.until("begin", 2)
    pod.pre_stop(container, prefix=NOBODY, holds=False).wait()
    assert container.wait() == 0
    assert pod.kill_sidecar().exists()
