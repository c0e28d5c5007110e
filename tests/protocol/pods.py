"""Pods without Kubernetes: a volume, and containers that start, run hooks and stop as under the kubelet."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.node.expansion import expand_all
from tests.node.images import static_busybox
from webhook.core import wrapper
from webhook.core.scripts import COPY_SHELL
from webhook.core.wrapper import COPIED_SHELL, MARKER, MOUNT_PATH, SIGNALS

WORKERS = Path(__file__).with_name("workers")
PYTHON = (os.path.realpath(sys.executable), "-I", "-S")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STOP_SIGNALS = ("TERM", "INT", "QUIT", "HUP")
SHELLS = {
    "dash": ("dash", "dash"),
    "busybox": ("busybox", "sh"),
    "busybox-static": ("busybox-static", "sh"),
    "brought": ("busybox", "sh"),
    "bash": ("bash", "bash"),
    "bash-as-sh": ("bash", "sh"),
    "mksh": ("mksh", "mksh"),
    "yash": ("yash", "yash"),
}
"""By the name in the tests: the shell's program, and the name by which it is called."""
STATIC = "busybox-static"
"""Debian's and Ubuntu's package of this name; its shell runs its own applets in place of the programs of PATH."""
USUAL_SHELLS = frozenset({"dash", "busybox", "bash"})
BROUGHT = "brought"
"""The shell that an init container has copied into the volume, with the programs that the scripts need."""
PAUSE = ("/bin/sh", "-c", '"$@"; exit "$?"', "pause")
"""The command of process 1 of a PID namespace that containers share."""
LONG = 15.0
"""The timeout of a single step in seconds; no step takes so long, even on a slow machine."""
GRACE = 600
"""The pod's own grace period in seconds, unless a test sets another one: longer than any test."""

_T = TypeVar("_T")
_NO_FORK = threading.Lock()
"""Held while a program is written: a process forked meanwhile inherits the open file, and exec fails (ETXTBSY)."""


def until(what: str, condition: Callable[[], _T], within: float = LONG, poll: float = 0.01) -> _T:
    """Wait until a condition holds, and return what it returned."""
    end = time.monotonic() + within
    while not (result := condition()):
        if time.monotonic() > end:
            pytest.fail(f"not within {within:g} s: {what}")
        time.sleep(poll)
    return result


def assert_stays(what: str, condition: Callable[[], object], seconds: float = 0.15) -> None:
    """Fail if a condition does not hold for the given time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"no longer: {what}"
        time.sleep(0.01)


def number(name: str) -> int:
    return signal.Signals[f"SIG{name}"].value


def require_program(program: str) -> str:
    """Return the path of a program; skip the test if it is not installed."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def find_program(shell: str) -> str | None:
    """Return the path of a shell's program; None if it is not installed, or is already tested under another name."""
    program, _ = SHELLS[shell]
    if program != STATIC:
        return shutil.which(program)
    path = static_busybox()
    return str(path) if path and path.resolve() != Path(shutil.which("busybox") or "").resolve() else None


def now() -> int:
    """Return the time in the unit of the scripts: tenths of a second since the node was started."""
    return int(float(Path("/proc/uptime").read_text().split()[0]) * 10)


def signal_sets(pid: int) -> dict[str, int]:
    """Read the signals that a process ignores (SigIgn), catches (SigCgt) and blocks (SigBlk), as bit masks."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines)
    return {key: int(value, 16) for key, value in pairs if key.startswith("Sig") and key != "SigQ"}


def has_handler(pid: int, name: str) -> bool:
    """Return whether a process has a handler for a signal."""
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
    """Whether a container's first process is one of many, or process 1 of a PID namespace of its own."""

    CHILD = "not-pid-1"
    INIT = "pid-1"


def _user_namespace(*options: str) -> tuple[str, ...]:
    return () if os.geteuid() == 0 else options


@functools.cache
def _unshare() -> tuple[str, ...]:
    options = ("--pid", "--fork", "--mount-proc", "--kill-child", *_user_namespace("--user", "--map-root-user"))
    return (shutil.which("unshare") or "unshare", *options, "--")


@functools.cache
def why_unavailable(setting: Setting) -> str | None:
    """Return why a setting is not available on this machine; None if it is."""
    if setting is Setting.CHILD:
        return None
    try:
        tried = subprocess.run([*_unshare(), "true"], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        return "unshare is not installed"
    return f"no PID namespace: {tried.stderr.strip()}" if tried.returncode else None


def first_end(*pidfds: int, within: float = LONG) -> int:
    """Wait until one of the processes has ended; return the time of its end in nanoseconds."""
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    if not poll.poll(within * 1000):
        pytest.fail(f"not within {within:g} s: end of the process")
    return time.monotonic_ns()


def _is_ours(words: list[str]) -> bool:
    """Return whether a command line is a shell of ours, or becomes one: it contains the marker, or a whole script."""
    return any(word.endswith(MARKER) or len(word) > 1000 for word in words)


def _is_helper_program(words: list[str]) -> bool:
    """Return whether a command line is a helper of the scripts; its arguments may contain the command's words."""
    return os.path.basename(words[0]) in {"env", "mkfifo", "printf", "setsid", "tr"}


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Iterate over all processes: PIDs, and their states, parents, groups and sessions."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield int(name), Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:4]


@dataclass
class Process:
    """A process that was started, or the init of the namespace that was started with it.

    The started process stays a zombie until `remove`, so that its PID and its process group ID are not reused.
    """

    popen: subprocess.Popen[bytes]
    pid: int
    started: int
    output: Path
    errors: Path
    ended: int = 0

    def __post_init__(self) -> None:
        self.sessions = {self.popen.pid}
        self.leader = os.pidfd_open(self.popen.pid)
        self.pidfd = self.leader
        if self.pid != self.popen.pid:
            with contextlib.suppress(ProcessLookupError):
                self.pidfd = os.pidfd_open(self.pid)

    def switch_to(self, pid: int) -> None:
        """Represent another process of the namespace, if it still exists."""
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(pid)
            if self.pidfd != self.leader:
                os.close(self.pidfd)
            self.pid, self.pidfd = pid, pidfd

    def signal(self, name: str) -> None:
        """Signal only this process, from outside its namespace, as the runtime does."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, int(wrapper.signal_number(name) or number(name)))

    def signal_in_quick_succession(self, name: str) -> None:
        """Signal this process many times, as when both a hook of the pod's own and the kubelet signal process 1."""
        for _ in range(30):
            self.signal(name)
            time.sleep(0.001)

    @property
    def running(self) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return not poll.poll(0)

    def wait(self, within: float = LONG) -> int:
        """Wait for the end and return the exit code; 128 plus the signal's number if a signal ended the process."""
        end = first_end(self.pidfd, within=within)
        self.ended = self.ended or end
        first_end(self.leader)
        result = os.waitid(os.P_PID, self.popen.pid, os.WEXITED | os.WNOWAIT)
        assert result
        return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status

    def read_to_end(self, within: float) -> tuple[bytes, bytes]:
        """Read the pipes of standard output and error until no process has them open."""
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

    def members(self) -> Iterator[tuple[int, list[str]]]:
        """Iterate over the running processes of this session and of those below it: PIDs and command lines."""
        running = {pid: fields for pid, fields in _processes() if fields[0] != "Z"}
        found = 0
        while found != len(self.sessions):
            found = len(self.sessions)
            below = [pid for pid, (_, _, _, session) in running.items() if int(session) in self.sessions]
            self.sessions.update(int(session) for _, parent, _, session in running.values() if int(parent) in below)
        for pid in below:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                yield pid, Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")[:-1]

    def find(self, text: str) -> int | None:
        """Return the process that has a text in its command line and is not one of ours."""
        for pid, words in sorted(self.members()):
            if any(text in word for word in words) and not _is_ours(words) and not _is_helper_program(words):
                return pid
        return None

    def worker(self, text: str) -> int:
        """Wait for a process that has a text in its command line, and return it."""
        found = until(f"a process with {text} in its command line", lambda: self.find(text), poll=0.02)
        assert found
        return found

    def cpu_seconds(self) -> float:
        """Return the CPU time of the first process and of all the children that it has waited for."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def script_shells(self, at_least: int) -> list[int]:
        """Wait until at least so many shells of ours run below the first process, and return them."""

        def found() -> list[int]:
            members = ((pid, words) for pid, words in self.members() if pid not in {self.pid, self.popen.pid})
            return sorted(pid for pid, words in members if _is_ours(words))

        until("our shells", lambda: len(found()) >= at_least, poll=0.02)
        return found()

    @property
    def seconds(self) -> float:
        """How long the process ran."""
        return (self.ended - self.started) / 1e9

    @property
    def stdout(self) -> str:
        return self.output.read_text()

    @property
    def stderr(self) -> str:
        return self.errors.read_text()

    def child(self) -> int:
        """Wait for the only child, and return it."""
        return until("a child", lambda: children(self.pid))[0]

    def remove(self) -> None:
        """Kill the process and what is left of its group and of the sessions below it."""
        if self.popen.returncode is not None:
            return
        below = [pid for pid, _ in self.members()]
        self.signal("KILL")
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
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
    """The file in which the workers record events: one line each, with the time in nanoseconds and the event."""

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
        """Make workers wait at their message until `release`."""
        self._hold.touch()

    def release(self) -> None:
        self._hold.unlink()


@dataclass
class Pod:
    """A pod: its volume, its containers and their hooks, with one shell and one setting."""

    name: str
    shell: str
    setting: Setting
    directory: Path
    processes: list[Process] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    shares: bool = False
    """Whether a container that is not process 1 shares a PID namespace with a pause container only."""
    without: Sequence[str] = ()
    """The prefix of the pod's commands that hides some programs from them."""

    def __post_init__(self) -> None:
        self.volume = self.directory / "volume"
        self.volume.mkdir()
        self.volume.chmod(0o777)
        self.programs = self.directory / "programs"
        self.programs.mkdir()
        self.environment = {"PATH": f"{self.programs}:{PATH}", "HOME": "/"}
        self.journal = Journal(self.directory / "journal")
        self.tools = self.programs
        self.binary = self.shell
        if self.name == BROUGHT:
            self._bring_shell()

    def _bring_shell(self) -> None:
        """Do what the init container does."""
        script = COPY_SHELL.replace("$$", "$")
        self.tools = Path(COPIED_SHELL.replace(MOUNT_PATH, str(self.volume))).parent
        subprocess.run([self.shell, "-c", script, MARKER, str(self.tools)], check=True)
        self.shell = COPIED_SHELL

    # Files and programs

    def folder(self, worker: str = "worker") -> Path:
        return self.volume / worker

    def kill_me(self, worker: str = "worker") -> Path:
        return self.folder(worker) / "kill_me"

    def kill_sidecar(self, worker: str = "worker") -> Path:
        return self.folder(worker) / "kill_sidecar"

    def heartbeat(self, worker: str = "worker") -> Path:
        return self.folder(worker) / "heartbeat"

    def alive(self, worker: str = "worker") -> Path:
        return self.folder(worker) / "alive"

    def message_file(self, worker: str = "worker") -> Path:
        """Return the file of a container's termination message; it belongs to the container that was started last."""
        return self.directory / f"termination-log-{worker}"

    def program(self, name: str, text: str) -> Path:
        """Install a program that PATH finds first."""
        return self._put(self.programs / name, text)

    def tool(self, name: str, text: str) -> None:
        """Install a program that the scripts find first."""
        (self.tools / name).unlink(missing_ok=True)
        self._put(self.tools / name, text)

    def _put(self, path: Path, text: str) -> Path:
        with _NO_FORK:
            path.write_text(text)
        path.chmod(0o755)
        return path

    def skip_where_applets_come_first(self) -> None:
        if "busybox" in os.path.realpath(self.binary):
            tried = subprocess.run(
                [self.binary, "-c", "exec echo"], env={"PATH": "/"}, capture_output=True, check=False
            )
            if tried.returncode == 0:
                pytest.skip("this busybox, Debian's static one, runs its applets in place of programs")

    def install_sleep_without_fractions(self) -> None:
        """Install a sleep without support for fractions in place of the usual one."""
        refuse = 'case $1 in *[!0-9]*) echo "sleep: invalid number" >&2; exit 1 ;; esac'
        self.tool("sleep", f'#!/bin/sh\n{refuse}\nexec {shutil.which("sleep")} "$1"\n')

    def hide_programs(self, *names: str) -> None:
        """Hide programs from all containers of the pod, as if the image did not have them."""
        reason = why_unavailable(Setting.INIT)
        if reason:
            pytest.skip(reason)
        self.skip_where_applets_come_first()
        if self.name == BROUGHT:
            for name in names:
                (self.tools / name).unlink()
        files = shlex.join(path for path in map(shutil.which, names) if path)
        hide = f'for file in {files}; do mount --bind /dev/null "$file" || exit; done; exec "$@"'
        self.without = ("unshare", *_user_namespace("--user", "--map-root-user"), "--mount", "sh", "-c", hide, "sh")

    def worker(self, name: str, *arguments: object) -> list[str]:
        """Return the argv of a worker program of these tests."""
        program = str(WORKERS / name)
        return [*(PYTHON if name.endswith(".py") else ("/bin/sh",)), program, *map(str, arguments)]

    def message(self, code: int = 0) -> list[str]:
        """Return the argv of a worker that handles one message per run."""
        return self.worker("message.py", self.journal.path, self.folder(), code)

    def consumer(self, name: str = "TERM", code: int = 0, how: str = "handler", late: float = 0) -> list[str]:
        """Return the argv of a worker that works until it gets a signal that it handles."""
        return self.worker("consumer.py", self.journal.path, how, name, code, late)

    # The kubelet's part

    def mounted(self, command: Sequence[str]) -> list[str]:
        """Return a command of ours with the path of this pod's volume in place of the mount path."""
        shell, option, script, marker, folder, settings, *rest = command
        volume = str(self.volume)
        shell, marker = (each.replace(MOUNT_PATH, volume, 1) for each in (shell, marker))
        folder, settings = (each.replace(MOUNT_PATH, volume) for each in (folder, settings))
        return [shell, option, script, marker, folder, settings, *rest]

    def start_loop(
        self,
        argv: Sequence[str],
        delay: int = 0,
        name: str = "worker",
        message_file: Path | None = None,
        stop_signal: str = "TERM",
        **options: Any,
    ) -> Process:
        """Start a container with a loop around its worker.

        The kubelet creates the file for the termination message; a test that passes another one creates it itself.
        """
        if message_file is None:
            message_file = self.message_file(name)
            message_file.write_text("")
            message_file.chmod(0o666)
        return self._start(wrapper.loop(self.shell, name, delay, stop_signal, str(message_file)), argv, **options)

    def start_parent(
        self,
        argv: Sequence[str],
        grace: int = GRACE,
        looks: str = "",
        launchers: str = "",
        unknown: str = "",
        wanted: str = "",
        stop_signal: str = "TERM",
        busy: int = 0,
        loops: str = "",
        name: str = "worker",
        **options: Any,
    ) -> Process:
        """Start a container with a parent around its command.

        `wanted` is the signal that the worker wants, `stop_signal` the one that the kubelet sends.
        """
        passed = str(SIGNALS.get(wanted, wanted))
        settings = [str(grace), looks, launchers, unknown, passed, str(busy), loops]
        return self._start(wrapper.parent(self.shell, name, settings, stop_signal), argv, **options)

    def _start(
        self,
        ours: Sequence[str],
        argv: Sequence[str],
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        **options: Any,
    ) -> Process:
        """Start a container; a prefix comes before the shell and must exec it."""
        environment = self.environment if environment is None else environment
        command = expand_all([*self.mounted(ours), *argv], environment)
        return self.start_bare([*self.without, *prefix, *command], environment, **options)

    def start_bare(self, argv: Sequence[str], environment: Mapping[str, str] | None = None, **options: Any) -> Process:
        """Start a container without a script of ours."""
        if self.setting is Setting.INIT:
            return self._spawn([*_unshare(), *argv], environment, init=True, **options)
        if self.shares:
            container = self._spawn([*_unshare(), *PAUSE, *argv], environment, init=True, **options)
            until("a child, or the end", lambda: children(container.pid) or not container.running)
            for child in children(container.pid)[:1]:
                container.switch_to(child)
            return container
        return self._spawn(argv, environment, **options)

    def exec(self, container: Process, argv: Sequence[str], **options: Any) -> Process:
        """Run a command inside a running container."""
        prefix = self.without
        if self.setting is Setting.INIT or self.shares:
            user = _user_namespace("-U", "--preserve-credentials")
            prefix = (shutil.which("nsenter") or "nsenter", "-t", str(container.pid), "-p", "-m", *user, "--")
        return self._spawn([*prefix, *argv], **options)

    def pre_stop(
        self,
        container: Process,
        chained: Sequence[str] = (),
        action: str = "",
        holds: bool = True,
        name: str = "worker",
        prefix: Sequence[str] = (),
        **options: Any,
    ) -> Process:
        """Run the worker's preStop hook inside its container."""
        if action and self.setting is Setting.CHILD:
            pytest.fail("process 1 is this machine's")
        hook = wrapper.worker_hook(self.shell, name, action, sidecars_wait=holds, chained=bool(chained))
        return self.exec(container, [*prefix, *self.mounted(hook), *chained], **options)

    def drain(self, container: Process, name: str = "worker") -> None:
        """Run the preStop hook of a wrapped worker, and wait for the hook's end or, if that fails, the container's."""
        if self.pre_stop(container, holds=False, name=name).wait():
            container.wait()

    def delete_before_handlers(self, start: Callable[[], Process]) -> Process:
        """Start a script, and delete the pod before the script has set its handlers, as on a busy node.

        Process 1 ignores a signal without a handler, so the stop signal is lost.
        """
        self.skip_where_applets_come_first()
        if self.setting is not Setting.INIT:
            pytest.skip("the signal ends a script that is not process 1")
        here, go = self.directory / "here", self.directory / "go"
        wait = f"touch {here}; until [ -e {go} ]; do sleep 0.01; done"
        self.tool("tr", f'#!/bin/sh\n{wait}\nexec {shutil.which("tr")} "$@"\n')
        container = start()
        until("the script before its handlers", here.exists)
        self.drain(container)
        container.signal("TERM")
        go.touch()
        return container

    def sidecar_pre_stop(
        self,
        chained: Sequence[str] = (),
        workers: Sequence[str] = ("worker",),
        own: str = "",
        grace: int = GRACE,
        **options: Any,
    ) -> Process:
        """Run a sidecar's preStop hook, outside the worker's container; the sidecar itself is not simulated."""
        prefix = (*self.without, *options.pop("prefix", ()))
        folder = wrapper.folder(own) if own else ""
        hook = wrapper.sidecar_hook(self.shell, folder, workers, grace if chained else None)
        return self._spawn([*prefix, *self.mounted(hook), *chained], **options)

    def _spawn(
        self, argv: Sequence[str], environment: Mapping[str, str] | None = None, *, init: bool = False, **options: Any
    ) -> Process:
        output, errors = (self.directory / f"{stream}-{len(self.processes)}" for stream in ("stdout", "stderr"))
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
        shutil.rmtree(self.directory, ignore_errors=True)


def _init_of(unshare: subprocess.Popen[bytes]) -> int:
    """Wait until the namespace's init runs its own program, and return its PID outside the namespace."""
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
    """Run a test of one pod in all pods at once: it waits long, or would run many times as separate tests."""
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
        reports = [
            f"{pod.name}, {pod.setting.value}:\n{''.join(traceback.format_exception(failure))}"
            for pod, failure in failures
            if failure not in skipped
        ]
        if reports:
            pytest.fail("\n".join(reports), pytrace=False)

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run
