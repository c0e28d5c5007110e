"""Rules 4 and 6: the files in the volume, and what becomes of the worker when the volume is of no use."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from webhook.core.wrapping import worker_hook

from .pods import BROUGHT, Pod, Process, children, in_all_pods, number, stays, until

MODES = (("loop", "0"), ("signal", "TERM"))
BY_MODE = pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode[0])
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
as_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root has other users' ids")

WayOut = Callable[[Pod], Process]
Trouble = Callable[[Pod], Sequence[str]]


def leave_stale_files(pod: Pod) -> list[Path]:
    pod.folder().mkdir()
    files = [pod.kill_me(), pod.kill_sidecar(), pod.heartbeat()]
    for file in files:
        file.write_text("1\n")
    return files


@BY_MODE
def test_files_of_an_earlier_life_are_gone_when_the_worker_starts(pod: Pod, mode: tuple[str, str]) -> None:
    files = leave_stale_files(pod)
    pod.journal.hold()
    container = pod.start(pod.message(), *mode)
    pod.journal.until("begin")
    assert not any(file.exists() for file in files)
    container.remove()


def test_a_restarted_worker_works_again_and_drains_again(pod: Pod) -> None:
    for _ in range(3):
        pod.journal.path.unlink(missing_ok=True)
        container = pod.start(pod.message())
        pod.journal.until("end", 2)
        pod.drain(container)
        container.signal("TERM")
        assert container.wait() == 0
        assert pod.kill_me().exists()
        assert pod.kill_sidecar().exists()


def by_hook(pod: Pod) -> Process:
    container = pod.start(pod.message())
    pod.journal.until("begin")
    pod.drain(container)
    return container


def by_stop_signal(pod: Pod) -> Process:
    container = pod.start(pod.message())
    pod.journal.until("begin")
    container.signal("TERM")
    return container


def by_stop_signal_in_the_delay(pod: Pod) -> Process:
    container = pod.start(pod.message(), setting="600")
    pod.journal.until("end")
    container.signal("QUIT")
    return container


def by_failure(pod: Pod) -> Process:
    return pod.start(pod.message(1))


def by_missing_program(pod: Pod) -> Process:
    return pod.start(["/no/such/program"])


def by_folder_in_place_of_a_program(pod: Pod) -> Process:
    return pod.start([str(pod.programs)])


def by_end_in_signal_mode(pod: Pod) -> Process:
    return pod.signal_mode("TERM", pod.message())


def by_failure_in_signal_mode(pod: Pod) -> Process:
    return pod.signal_mode("TERM", pod.message(4))


def by_stop_signal_in_signal_mode(pod: Pod) -> Process:
    container = pod.signal_mode("USR1", pod.consumer("USR1"))
    pod.journal.until("ready")
    container.signal("TERM")
    return container


def by_missing_program_in_signal_mode(pod: Pod) -> Process:
    return pod.signal_mode("TERM", ["/no/such/program"])


WAYS_OUT = (
    by_hook,
    by_stop_signal,
    by_stop_signal_in_the_delay,
    by_failure,
    by_missing_program,
    by_folder_in_place_of_a_program,
    by_end_in_signal_mode,
    by_failure_in_signal_mode,
    by_stop_signal_in_signal_mode,
    by_missing_program_in_signal_mode,
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
    container = pod.start(pod.message())
    pod.journal.until("begin")
    pod.drain(container)
    container.signal(name)
    stays("the sidecars wait", lambda: not pod.kill_sidecar().exists())
    pod.journal.release()
    assert container.wait() == 0
    assert pod.journal.lines == ["begin", "end"]
    assert pod.kill_sidecar().exists()


def test_the_sidecars_are_not_let_go_while_a_signalled_worker_is_at_its_message(pod: Pod) -> None:
    pod.journal.hold()
    container = pod.signal_mode("TERM", pod.consumer("TERM"))
    pod.journal.until("ready")
    pod.drain(container)
    for _ in range(2):
        container.signal("TERM")
        pod.journal.until("heard TERM")
        stays("the sidecars wait", lambda: container.running and not pod.kill_sidecar().exists())
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
    """The volume belongs to somebody else."""
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
def test_the_worker_works_and_ends_without_a_usable_volume(pod: Pod, trouble: Trouble) -> None:
    container = pod.start(writing(pod), prefix=trouble(pod))
    pod.journal.until("begin", 3)
    container.signal("TERM")
    assert container.wait() == 0


@TROUBLES
@in_all_pods
def test_a_volume_that_is_of_no_use_is_told_on_stderr(pod: Pod, trouble: Trouble) -> None:
    container = pod.start(writing(pod), prefix=trouble(pod))
    pod.journal.until("begin")
    assert f"graceful-worker: cannot write to {pod.folder()}" in container.stderr
    container.signal("TERM")
    container.wait()


@TROUBLES
@in_all_pods
def test_the_worker_is_signalled_without_a_usable_volume(pod: Pod, trouble: Trouble) -> None:
    container = pod.signal_mode("USR1", ["sleep", "600"], prefix=trouble(pod))
    sleeps = ("sleep", "busybox")
    until("the worker at work", lambda: _comm(container) in sleeps)
    container.signal("TERM")
    assert container.wait() == 128 + number("USR1")


def _comm(container: Process) -> str:
    try:
        return "".join(Path(f"/proc/{child}/comm").read_text().strip() for child in children(container.pid))
    except (FileNotFoundError, ProcessLookupError):
        return ""


@TROUBLES
@in_all_pods
def test_a_failing_run_is_seen_without_a_usable_volume(pod: Pod, trouble: Trouble) -> None:
    assert pod.start(["/bin/sh", "-c", "exit 4"], prefix=trouble(pod)).wait() == 4


def test_a_folder_that_is_there_but_cannot_be_written_does_not_stop_the_worker(pod: Pod) -> None:
    pod.folder().mkdir()
    pod.folder().chmod(0o555)
    container = pod.start(writing(pod), prefix=read_only(pod))
    pod.journal.until("begin", 3)
    container.signal("TERM")
    assert container.wait() == 0


@as_root
def test_files_of_a_worker_with_a_strict_umask_are_seen_by_every_user(pod: Pod) -> None:
    pod.journal.hold()
    container = pod.start(pod.message(), umask=0o077)
    pod.journal.until("begin")
    assert pod.pre_stop(container, umask=0o077).wait() == 0
    until("a heartbeat", lambda: pod.heartbeat().exists() and pod.heartbeat().read_text())
    see = f'test -e {pod.kill_me()} && test -n "$(cat {pod.heartbeat()})"'
    subprocess.run([*NOBODY, "/bin/sh", "-c", see], check=True)
    pod.journal.release()
    container.wait()
    subprocess.run([*NOBODY, "test", "-e", str(pod.kill_sidecar())], check=True)


@as_root
@pytest.mark.parametrize("umask", [0o022, 0o077])
@in_all_pods
def test_a_sidecar_of_another_user_waits_for_the_worker(pod: Pod, umask: int) -> None:
    pod.sleep_faster(10)
    pod.journal.hold()
    container = pod.start(pod.message(), umask=umask)
    pod.journal.until("begin")
    assert pod.pre_stop(container, umask=umask).wait() == 0
    sidecar = pod.sidecar_pre_stop(prefix=NOBODY)
    stays("the sidecar waits", lambda: sidecar.running, 1)
    pod.journal.release()
    container.wait()
    assert sidecar.wait() == 0
    assert (sidecar.ended - container.ended) / 1e9 < 1


@as_root
def test_a_worker_of_another_user_drains(pod: Pod) -> None:
    container = pod.start(writing(pod), prefix=NOBODY)
    pod.journal.until("begin", 2)
    hook = pod.mounted(worker_hook(pod.shell, "worker", ()))
    pod.exec(container, [*NOBODY, *hook]).wait()
    assert container.wait() == 0
    assert pod.kill_sidecar().exists()
