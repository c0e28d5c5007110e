"""Pods without Kubernetes: a volume, and containers that start, run hooks and stop as the kubelet makes them."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.node.expansion import expand_all
from webhook.core.wrapping import (
    BRING_SHELL_SCRIPT,
    COPIED_SHELL,
    MARKER,
    MOUNT_PATH,
    sidecar_hook,
    worker_hook,
    wrap,
)

WORKERS = Path(__file__).with_name("workers")
PYTHON = (os.path.realpath(sys.executable), "-I", "-S")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STOP_SIGNALS = ("TERM", "INT", "QUIT", "HUP")
SHELLS = {
    "dash": ("dash", "dash"),
    "busybox": ("busybox", "sh"),
    "brought": ("busybox", "sh"),
    "bash": ("bash", "bash"),
    "bash-as-sh": ("bash", "sh"),
    "mksh": ("mksh", "mksh"),
    "yash": ("yash", "yash"),
}
"""Names in the tests: the program that is a shell, and the name by which it is called."""
BROUGHT = "brought"
"""The shell that an init container has copied into the volume, with the programs that the scripts need."""
LONG = 15.0
"""Seconds that no step takes, however slow the machine: the end of all patience."""

_T = TypeVar("_T")
_NO_FORK = threading.Lock()
"""Held while a program is written: a process that is forked meanwhile has it open, and nobody can execute it."""


def until(what: str, condition: Callable[[], _T], within: float = LONG, poll: float = 0.004) -> _T:
    """Wait until a condition holds, and return what it returned."""
    end = time.monotonic() + within
    while not (result := condition()):
        if time.monotonic() > end:
            pytest.fail(f"not within {within:g} s: {what}")
        time.sleep(poll)
    return result


def stays(what: str, condition: Callable[[], object], seconds: float = 0.15) -> None:
    """Fail if a condition does not hold all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"no longer: {what}"
        time.sleep(0.01)


def number(name: str) -> int:
    return signal.Signals[f"SIG{name}"].value


def signal_sets(pid: int) -> dict[str, int]:
    """Read the signals that a process ignores (SigIgn), catches (SigCgt) and blocks (SigBlk), as bit masks."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines)
    return {key: int(value, 16) for key, value in pairs if key.startswith("Sig") and key != "SigQ"}


def hears(pid: int, name: str) -> bool:
    """Tell whether a process has a handler for a signal."""
    try:
        return bool(signal_sets(pid)["SigCgt"] >> (number(name) - 1) & 1)
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


class Setting(Enum):
    """Where a container's first process stands: among others, or as the init of a PID namespace of its own."""

    CHILD = "not-pid-1"
    INIT = "pid-1"


def _user_namespace(*options: str) -> tuple[str, ...]:
    return () if os.geteuid() == 0 else options


@functools.cache
def _unshare() -> tuple[str, ...]:
    options = ("--pid", "--fork", "--mount-proc", "--kill-child", *_user_namespace("--user", "--map-root-user"))
    return (shutil.which("unshare") or "unshare", *options, "--")


@functools.cache
def refusal(setting: Setting) -> str | None:
    """Say why containers cannot have a setting on this machine."""
    if setting is Setting.CHILD:
        return None
    try:
        tried = subprocess.run([*_unshare(), "true"], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        return "unshare is not installed"
    return f"no PID namespace: {tried.stderr.strip()}" if tried.returncode else None


def first_end(*pidfds: int, within: float = LONG) -> int:
    """Wait until one of the processes has ended; return when that was, in nanoseconds."""
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    if not poll.poll(within * 1000):
        pytest.fail(f"not within {within:g} s: end of the process")
    return time.monotonic_ns()


@dataclass
class Process:
    """A process that was started, or the init of the namespace that was started with it.

    The started process stays a zombie until `remove`, so that its number, and that of its group, are nobody else's.
    """

    popen: subprocess.Popen[bytes]
    pid: int
    started: int
    output: Path
    errors: Path
    ended: int = 0

    def __post_init__(self) -> None:
        self.leader = os.pidfd_open(self.popen.pid)
        self.pidfd = self.leader
        if self.pid != self.popen.pid:
            with contextlib.suppress(ProcessLookupError):
                self.pidfd = os.pidfd_open(self.pid)

    def signal(self, name: str) -> None:
        """Signal this process alone, from outside, as the runtime does it."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number(name))

    @property
    def running(self) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return not poll.poll(0)

    def wait(self, within: float = LONG) -> int:
        """Wait for the end and return the exit code; 128 and the signal's number if a signal was the end."""
        end = first_end(self.pidfd, within=within)
        self.ended = self.ended or end
        first_end(self.leader)
        result = os.waitid(os.P_PID, self.popen.pid, os.WEXITED | os.WNOWAIT)
        assert result
        return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status

    def read_to_end(self, within: float) -> tuple[bytes, bytes]:
        """Read the pipes of standard output and error until nobody has them open."""
        texts = []
        end = time.monotonic() + within
        for stream in (self.popen.stdout, self.popen.stderr):
            assert stream
            text = b""
            poll = select.poll()
            poll.register(stream, select.POLLIN)
            while poll.poll(max(0, end - time.monotonic()) * 1000):
                part = os.read(stream.fileno(), 4096)
                text += part
                if not part:
                    break
            else:
                pytest.fail(f"not within {within:g} s: end of the output after {text!r}")
            texts.append(text)
        return texts[0], texts[1]

    def left_over(self) -> list[int]:
        """Return what runs on of the started process's group."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
                if int(group) == self.popen.pid and state != "Z":
                    found.append(int(stat.parent.name))
        return found

    @property
    def seconds(self) -> float:
        """How long the process lived."""
        return (self.ended - self.started) / 1e9

    @property
    def stdout(self) -> str:
        return self.output.read_text()

    @property
    def stderr(self) -> str:
        return self.errors.read_text()

    def child(self) -> int:
        """Return the only child, as soon as there is one."""
        return until("a child", lambda: children(self.pid))[0]

    def remove(self) -> None:
        """End the process and what is left of its group."""
        if self.popen.returncode is not None:
            return
        self.signal("KILL")
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                kill(self.popen.pid, signal.SIGKILL)
        first_end(self.pidfd)
        self.popen.wait(LONG)
        for stream in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if stream:
                stream.close()
        for pidfd in {self.pidfd, self.leader}:
            os.close(pidfd)


@dataclass
class Journal:
    """What the workers wrote down: lines of a time in nanoseconds and words."""

    path: Path

    @property
    def events(self) -> list[tuple[int, str]]:
        if not self.path.exists():
            return []
        lines = [line.split(" ", 1) for line in self.path.read_text().splitlines()]
        return [(int(when), what) for when, what in lines]

    @property
    def lines(self) -> list[str]:
        return [what for _, what in self.events]

    def count(self, prefix: str) -> int:
        return sum(line.startswith(prefix) for line in self.lines)

    def until(self, prefix: str, times: int = 1, within: float = LONG) -> None:
        until(f"{times} x {prefix!r} in the journal", lambda: self.count(prefix) >= times, within)

    @property
    def _hold(self) -> Path:
        return self.path.with_suffix(".hold")

    def hold(self) -> None:
        """Keep messages in work from ending."""
        self._hold.touch()

    def release(self) -> None:
        self._hold.unlink()


@dataclass
class Pod:
    """A pod: its volume, its containers and their hooks, under one shell and in one setting."""

    name: str
    shell: str
    setting: Setting
    room: Path
    processes: list[Process] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.volume = self.room / "volume"
        self.volume.mkdir()
        self.volume.chmod(0o777)
        self.programs = self.room / "programs"
        self.programs.mkdir()
        self.environment = {"PATH": f"{self.programs}:{PATH}", "HOME": "/"}
        self.journal = Journal(self.room / "journal")
        self.tools = self.programs
        if self.name == BROUGHT:
            self._bring_shell()

    def _bring_shell(self) -> None:
        """Do what the init container does."""
        script = BRING_SHELL_SCRIPT.replace("$$", "$")
        self.tools = Path(COPIED_SHELL.replace(MOUNT_PATH, str(self.volume))).parent
        subprocess.run([self.shell, "-c", script, MARKER, str(self.tools)], check=True)
        self.shell = COPIED_SHELL

    # What the pod is made of

    def folder(self, worker: str = "worker") -> Path:
        return self.volume / worker

    def kill_me(self, worker: str = "worker") -> Path:
        return self.folder(worker) / "kill_me"

    def kill_sidecar(self, worker: str = "worker") -> Path:
        return self.folder(worker) / "kill_sidecar"

    def heartbeat(self, worker: str = "worker") -> Path:
        return self.folder(worker) / "heartbeat"

    def program(self, name: str, text: str) -> Path:
        """Put a program where PATH finds it first."""
        return self._put(self.programs / name, text)

    def tool(self, name: str, text: str) -> None:
        """Put a program where the scripts find it first."""
        (self.tools / name).unlink(missing_ok=True)
        self._put(self.tools / name, text)

    def _put(self, path: Path, text: str) -> Path:
        with _NO_FORK:
            path.write_text(text)
        path.chmod(0o755)
        return path

    def sleep_faster(self, factor: int) -> None:
        """Let the scripts' sleeps take a fraction of their time."""
        cases = "".join(f"  {time}) set -- {time / factor} ;;\n" for time in (0.1, 0.2, 1, 4.3, 5))
        self.tool("sleep", f'#!/bin/sh\ncase $1 in\n{cases}esac\nexec {shutil.which("sleep")} "$1"\n')

    def sleep_whole_seconds_only(self) -> None:
        """Put a sleep before the usual one that knows no fractions."""
        refuse = 'case $1 in *[!0-9]*) echo "sleep: invalid number" >&2; exit 1 ;; esac'
        self.tool("sleep", f'#!/bin/sh\n{refuse}\nexec {shutil.which("sleep")} "$1"\n')

    def worker(self, name: str, *arguments: object) -> list[str]:
        """Return the argv of a worker program of these tests."""
        program = str(WORKERS / name)
        return [*(PYTHON if name.endswith(".py") else ("/bin/sh",)), program, *map(str, arguments)]

    def message(self, code: int = 0) -> list[str]:
        """Return the argv of a worker that handles one message per run."""
        return self.worker("message.py", self.journal.path, self.folder(), code)

    def consumer(self, name: str, code: int = 0, late: float = 0) -> list[str]:
        """Return the argv of a worker that works until a signal comes."""
        return self.worker("consumer.py", self.journal.path, name, code, late)

    # What the kubelet does to it

    def mounted(self, command: Sequence[str]) -> list[str]:
        """Return a command of ours that finds this pod's volume, as a mount would have it."""
        shell, option, script, marker, folders, *rest = command
        volume = str(self.volume)
        shell, marker = (each.replace(MOUNT_PATH, volume, 1) for each in (shell, marker))
        return [shell, option, script, marker, folders.replace(MOUNT_PATH, volume), *rest]

    def start(
        self,
        argv: Sequence[str],
        mode: str = "loop",
        setting: str = "0",
        name: str = "worker",
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        **options: Any,
    ) -> Process:
        """Start a container with the wrapper; a prefix stands before the shell and must turn into it by exec."""
        environment = self.environment if environment is None else environment
        wrapped = wrap(self.shell, name, mode, setting, argv)
        command = expand_all([*self.mounted(wrapped.command), *wrapped.args], environment)
        return self.start_bare([*prefix, *command], environment, **options)

    def signal_mode(self, passed: str, argv: Sequence[str], **options: Any) -> Process:
        """Start a container in signal mode that passes a signal on."""
        return self.start(argv, "signal", passed, **options)

    def start_bare(self, argv: Sequence[str], environment: Mapping[str, str] | None = None, **options: Any) -> Process:
        """Start a container as it is, without the wrapper."""
        prefix = _unshare() if self.setting is Setting.INIT else ()
        return self._spawn([*prefix, *argv], environment, init=self.setting is Setting.INIT, **options)

    def exec(self, container: Process, argv: Sequence[str], **options: Any) -> Process:
        """Run a command inside a running container."""
        prefix: tuple[str, ...] = ()
        if self.setting is Setting.INIT:
            user = _user_namespace("-U", "--preserve-credentials")
            prefix = (shutil.which("nsenter") or "nsenter", "-t", str(container.pid), "-p", "-m", *user, "--")
        return self._spawn([*prefix, *argv], **options)

    def pre_stop(self, container: Process, hook: Sequence[str] = (), name: str = "worker", **options: Any) -> Process:
        """Run the worker's preStop hook inside its container."""
        return self.exec(container, self.mounted(worker_hook(self.shell, name, hook)), **options)

    def drain(self, container: Process, name: str = "worker") -> None:
        """Run the worker's preStop hook without a chained one, to its end or the container's."""
        if self.pre_stop(container, name=name).wait():
            container.wait()

    def sidecar_pre_stop(
        self, hook: Sequence[str] = (), workers: Sequence[str] = ("worker",), **options: Any
    ) -> Process:
        """Run a sidecar's preStop hook; the sidecar's container is not the worker's, and is none here."""
        prefix = options.pop("prefix", ())
        return self._spawn([*prefix, *self.mounted(sidecar_hook(self.shell, workers, hook))], **options)

    def _spawn(
        self, argv: Sequence[str], environment: Mapping[str, str] | None = None, *, init: bool = False, **options: Any
    ) -> Process:
        output, errors = (self.room / f"{stream}-{len(self.processes)}" for stream in ("stdout", "stderr"))
        started = time.monotonic_ns()
        with output.open("wb") as stdout, errors.open("wb") as stderr:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": stdout, "stderr": stderr}
            streams["start_new_session"] = True
            environment = self.environment if environment is None else environment
            with _NO_FORK:
                popen = subprocess.Popen(argv, env=environment, **(streams | options))
        pid = _init_of(popen) if init else popen.pid
        process = Process(popen, pid, started, output, errors)
        self.processes.append(process)
        return process

    def remove(self) -> None:
        for process in reversed(self.processes):
            process.remove()
        shutil.rmtree(self.room, ignore_errors=True)


def has_handlers(pod: Pod, container: Process, worker: str) -> bool:
    """Tell whether the script's handlers are in place, so that the kernel lets an init have the stop signals."""
    if pod.name == "mksh":  # catches them from its start, but as an init survives them
        return pod.folder(worker).exists()
    return all(hears(container.pid, name) for name in STOP_SIGNALS)


def _init_of(unshare: subprocess.Popen[bytes]) -> int:
    """Return the pid, seen from outside, of the namespace's init as soon as it runs its own program."""
    program = os.path.realpath(_unshare()[0])
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        for child in children(unshare.pid):
            try:
                if os.readlink(f"/proc/{child}/exe") != program:
                    return child
            except OSError:
                return child
        if os.waitid(os.P_PID, unshare.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            return unshare.pid
    pytest.fail("the namespace has no init")


def in_all_pods(test: Callable[..., None]) -> Callable[..., None]:
    """Make a test of one pod a test of all pods at once: one that waits, or that would be there many times over."""
    signature = inspect.signature(test)
    parameters = [item.replace(name="pods") if name == "pod" else item for name, item in signature.parameters.items()]

    def run(pods: list[Pod], **arguments: Any) -> None:
        failures = []

        def attempt(pod: Pod) -> None:
            try:
                test(pod=pod, **arguments)
            except BaseException as failure:
                failures.append((pod, failure))

        threads = [threading.Thread(target=attempt, args=(pod,)) for pod in pods]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        skipped = [failure for _, failure in failures if isinstance(failure, pytest.skip.Exception)]
        if failures and len(skipped) == len(failures) == len(pods):
            raise skipped[0]
        told = [
            f"{pod.name}, {pod.setting.value}:\n{''.join(traceback.format_exception(failure))}"
            for pod, failure in failures
            if failure not in skipped
        ]
        if told:
            pytest.fail("\n".join(told), pytrace=False)

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run
