"""Rules 4 and 6: the files in the volume, and what happens where the volume cannot be used."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from .pods import BROUGHT, Pod, Process, assert_stays, in_all_pods
from .test_arguments import BY_START, Start

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
as_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root has other users' ids")

WayOut = Callable[[Pod], Process]
ExpectedError = Callable[[Pod], Sequence[str]]


def leave_stale_files(pod: Pod) -> list[Path]:
    pod.folder().mkdir()
    files = [pod.kill_me(), pod.kill_sidecar(), pod.heartbeat()]
    for file in files:
        file.write_text("1\n")
    return files


@BY_START
@in_all_pods
def test_files_of_an_earlier_life_are_gone_when_the_worker_starts(pod: Pod, start: Start) -> None:
    files = leave_stale_files(pod)
    pod.journal.hold()
    container = start(pod, pod.message())
    pod.journal.until("begin")
    assert not any(file.exists() for file in files)
    container.remove()


@in_all_pods
def test_a_restarted_loop_works_again_and_drains_again(pod: Pod) -> None:
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
def test_a_restarted_parent_works_again_and_drains_again(pod: Pod) -> None:
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


WAYS_OUT = (
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


@pytest.mark.parametrize("way_out", WAYS_OUT, ids=lambda way_out: way_out.__name__)
@in_all_pods
def test_the_sidecars_are_let_go_on_every_way_out(pod: Pod, way_out: WayOut) -> None:
    way_out(pod).wait()
    assert pod.kill_sidecar().exists()


@pytest.mark.parametrize("name", ["TERM", "INT"])
@in_all_pods
def test_the_sidecars_are_not_let_go_while_a_message_is_in_work(pod: Pod, name: str) -> None:
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
def test_the_sidecars_are_not_let_go_while_a_signalled_worker_is_at_its_message(pod: Pod) -> None:
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
    """The volume is missing: there is nothing that could hold the folder."""
    if pod.name == BROUGHT:
        pytest.skip("without the volume there is no shell")
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


TROUBLES = pytest.mark.parametrize(
    "trouble", [no_folder, read_only, read_only_with_stale_files], ids=lambda trouble: trouble.__name__
)


def writing(pod: Pod) -> list[str]:
    """Return a worker for every user id that writes a line per run."""
    pod.journal.path.touch()
    pod.journal.path.chmod(0o666)
    return ["/bin/sh", "-c", f"echo '0 begin' >>{pod.journal.path}"]


@TROUBLES
@in_all_pods
def test_the_worker_works_and_ends_without_a_usable_volume(pod: Pod, trouble: ExpectedError) -> None:
    container = pod.start_loop(writing(pod), prefix=trouble(pod))
    pod.journal.until("begin", 3)
    container.signal("TERM")
    assert container.wait() == 0


@TROUBLES
@in_all_pods
def test_a_volume_that_is_of_no_use_is_told_on_stderr(pod: Pod, trouble: ExpectedError) -> None:
    container = pod.start_loop(writing(pod), prefix=trouble(pod))
    pod.journal.until("begin")
    assert f"graceful-worker: cannot write to {pod.folder()}" in container.stderr
    container.signal("TERM")
    container.wait()


@TROUBLES
@in_all_pods
def test_a_parent_passes_the_signal_on_without_a_usable_volume(pod: Pod, trouble: ExpectedError) -> None:
    if pod.name == "mksh":
        pytest.skip("without mkfifo its wait gives 1 now and then; no image has it as /bin/sh")
    pod.journal.path.touch()
    pod.journal.path.chmod(0o666)
    worker = f"trap 'exit 7' TERM; echo 0 ready >>{pod.journal.path}; while :; do sleep 0.05; done"
    container = pod.start_parent(["/bin/sh", "-c", worker], prefix=trouble(pod))
    pod.journal.until("ready")
    container.signal("TERM")
    assert container.wait() == 7


@TROUBLES
@in_all_pods
def test_a_parent_ends_a_command_without_handler_without_a_usable_volume(pod: Pod, trouble: ExpectedError) -> None:
    container = pod.start_parent(["sleep", "600"], grace=0, prefix=trouble(pod))
    container.worker("600")
    container.signal("TERM")
    assert container.wait() == 137


@BY_START
@TROUBLES
@in_all_pods
def test_a_failing_run_is_seen_without_a_usable_volume(pod: Pod, start: Start, trouble: ExpectedError) -> None:
    assert start(pod, ["/bin/sh", "-c", "exit 4"], prefix=trouble(pod)).wait() == 4


@in_all_pods
def test_a_folder_that_is_there_but_cannot_be_written_does_not_stop_the_worker(pod: Pod) -> None:
    pod.folder().mkdir()
    pod.folder().chmod(0o555)
    container = pod.start_loop(writing(pod), prefix=read_only(pod))
    pod.journal.until("begin", 3)
    container.signal("TERM")
    assert container.wait() == 0


@as_root
@BY_START
@in_all_pods
def test_files_of_a_worker_with_a_strict_umask_are_seen_by_every_user(pod: Pod, start: Start) -> None:
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
    container = pod.start_loop(writing(pod), prefix=NOBODY)
    pod.journal.until("begin", 2)
    pod.pre_stop(container, prefix=NOBODY, holds=False).wait()
    assert container.wait() == 0
    assert pod.kill_sidecar().exists()
