"""The container runtime: OCI bundles, run by crun."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

# containerd's default capabilities of a container.
# https://github.com/containerd/containerd/blob/main/pkg/oci/spec.go, defaultUnixCaps()
CAPABILITIES = [
    f"CAP_{name}"
    for name in (
        *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID"),
        *("SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"),
    )
]
START_SECONDS = 60
# crun refuses cgroups of version 1 beside version 2; a mount namespace with only version 2 works.
_ONLY_VERSION_2 = ("unshare", "--mount", "sh", "-c", 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"', "sh")


class NotStarted(Exception):
    """The runtime could not start a container; the message is the runtime's."""


@dataclass(frozen=True)
class Mount:
    """A file or folder of the node, and its path in the container."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Image:
    """The content of an image: files, environment, working directory, and stop signal (empty: TERM).

    `root` is a folder with the complete root file system; without it, the root contains this machine's programs, with
    the mounts on top of them.
    """

    mounts: tuple[Mount, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = "/"
    root: Path | None = None
    stop_signal: str = ""


@dataclass(frozen=True)
class ContainerSpec:
    """The kubelet's request to the runtime; `root` is the image's, `pid_namespace` the path of a shared namespace."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    mounts: Sequence[Mount]
    working_directory: str = "/"
    hostname: str = "pod"
    user: int = 0
    group: int = 0
    groups: Sequence[int] = ()
    capabilities: Sequence[str] = tuple(CAPABILITIES)
    read_only_root: bool = False
    no_new_privileges: bool = False
    pid_namespace: str = ""
    root: Path | None = None


@cache
def refusal() -> str:
    """Return why containers cannot run on this machine; empty if they can."""
    if shutil.which("crun") is None:
        return "crun is not installed"
    if os.geteuid() != 0:
        return "containers with several users need root"
    tried = subprocess.run([*_crun(), "list"], check=False, capture_output=True, text=True)
    return f"crun: {tried.stderr.strip()}" if tried.returncode else ""


@cache
def _crun() -> tuple[str, ...]:
    alone = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return (*(() if alone else _ONLY_VERSION_2), "crun", "--cgroup-manager=cgroupfs")


class Container:
    """A running container, with its first process as seen from the node."""

    def __init__(self, directory: Path, spec: ContainerSpec) -> None:
        """Start a container whose files are in `directory`.

        Raises:
            NotStarted: the runtime cannot start it.

        """
        self._directory = directory
        self._spec = spec
        self._id = f"{directory.parent.name}-{directory.name}-{os.getpid()}-{time.monotonic_ns()}"
        self._cgroup = f"graceful-worker/{self._id}"
        _write_bundle(directory, spec, self._cgroup)
        self.log = directory / "log"
        pid_file = directory / "pid"
        command = [*_crun(), "run", "--bundle", str(directory), "--pid-file", str(pid_file), self._id]
        with self.log.open("wb") as log:
            self._crun_run = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._pidfd = self._open(pid_file)
        self.started = time.monotonic_ns()
        self.ended = 0
        self.exit_code: int | None = None
        self._over = threading.Event()
        threading.Thread(target=self._reap, daemon=True).start()

    def _open(self, pid_file: Path) -> int | None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            over = self._crun_run.poll() is not None
            text = pid_file.read_text() if pid_file.exists() else ""
            if text:
                self.pid = int(text)
                with suppress(ProcessLookupError):
                    return os.pidfd_open(self.pid)
                return None
            if over:
                break
            time.sleep(0.001)
        self._crun_run.kill()
        self._crun_run.wait()
        raise NotStarted(self.log.read_text(errors="replace").strip())

    def _reap(self) -> None:
        if self._pidfd is not None:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            poll.poll()
            self.ended = time.monotonic_ns()
        # In a shared PID namespace, only the runtime ends the other processes of a container.
        self._kill_cgroup()
        self.exit_code = self._crun_run.wait()
        self.ended = self.ended or time.monotonic_ns()
        self._over.set()

    @property
    def running(self) -> bool:
        """Whether the first process has not ended yet."""
        return not self._over.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end; return whether the container has ended."""
        return self._over.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        """Signal the first process from outside its namespaces, like the runtime."""
        if self._pidfd is not None and self.running:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """Kill all processes of the container at once, like the out-of-memory killer."""
        self._kill_cgroup()
        self.signal(signal.SIGKILL)

    def exec(self, argv: Sequence[str], seconds: float) -> int | None:
        """Run a command in the container until it has ended and no process holds its output open.

        Returns its exit code, or None if it is killed after the given seconds.
        The kubelet's ExecSync also waits for the end of the streams, so a hook that leaves a child behind may hang.
        """
        read, write = os.pipe()
        name = f"exec-{time.monotonic_ns()}"
        process_file, pid_file = self._directory / f"{name}.json", self._directory / f"{name}.pid"
        process_file.write_text(json.dumps({**_process(self._spec), "args": list(argv)}))
        command = [*_crun(), "exec", "--process", str(process_file), "--pid-file", str(pid_file), self._id]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=write, stderr=write)
        os.close(write)
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(read, select.POLLIN)
        try:
            while poll.poll(max(0, deadline - time.monotonic()) * 1000):
                if not os.read(read, 65536):
                    return process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            os.close(read)
            if process.poll() is None:
                # Not crun itself: it must reap its processes, or the container's namespace could not end.
                with suppress(OSError, ValueError):
                    os.kill(int(pid_file.read_text()), signal.SIGKILL)
                process.wait()
        return None

    def _kill_cgroup(self) -> None:
        """Write cgroup.kill, which also reaches processes that are just being forked."""
        with suppress(OSError):
            (_cgroup_mount() / self._cgroup / "cgroup.kill").write_text("1")

    def pids(self) -> list[int]:
        """Return the PIDs of the container's processes in the node's PID namespace."""
        return [int(pid) for pid in (_cgroup_mount() / self._cgroup / "cgroup.procs").read_text().split()]

    def remove(self) -> None:
        """End the container, in any state."""
        self.kill()
        self.wait()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None


@cache
def _cgroup_mount() -> Path:
    """Return the mount point of cgroups of version 2: alone, or beside those of version 1."""
    alone, beside = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")
    return beside if beside.is_dir() else alone


def _write_bundle(directory: Path, spec: ContainerSpec, cgroup: str) -> None:
    """Write config.json and the root file system: https://github.com/opencontainers/runtime-spec/blob/main/config.md."""
    root = directory / "rootfs"
    if spec.root:
        # A copy for each container, so that no container sees the writes of another one.
        shutil.copytree(spec.root, root, symlinks=True)
    else:
        _make_root(root)
    machine = () if spec.root else _machine()
    config: dict[str, Any] = {
        "ociVersion": "1.0.0",
        "hostname": spec.hostname,
        "root": {"path": str(root), "readonly": spec.read_only_root},
        "process": _process(spec),
        "mounts": [*_KERNEL_MOUNTS, *map(_bind, sorted((*machine, *spec.mounts), key=_depth))],
        "linux": {
            "cgroupsPath": f"/{cgroup}",
            "namespaces": [
                {"type": "pid"} | ({"path": spec.pid_namespace} if spec.pid_namespace else {}),
                *({"type": kind} for kind in ("mount", "ipc", "uts")),
            ],
        },
    }
    (directory / "config.json").write_text(json.dumps(config))


def _make_root(root: Path) -> None:
    """Make the root folder into which this machine's programs are mounted."""
    (root / "tmp").mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for name in _LINKS:
        (root / name).symlink_to(f"usr/{name}")


def _process(spec: ContainerSpec) -> dict[str, Any]:
    """Return the process of a container; commands executed in it later have the same user, environment and rights."""
    capabilities = list(spec.capabilities)
    # Like containerd: a user other than root has them only in its bounding set.
    held = capabilities if spec.user == 0 else []
    return {
        "args": list(spec.argv),
        "env": [f"{name}={value}" for name, value in spec.environment.items()],
        "cwd": spec.working_directory,
        "user": {"uid": spec.user, "gid": spec.group, "additionalGids": list(spec.groups)},
        "capabilities": {"bounding": capabilities, "effective": held, "permitted": held},
        "noNewPrivileges": spec.no_new_privileges,
    }


_KERNEL_MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "nodev", "mode=1777"]},
]
_LINKS = [name for name in ("bin", "sbin", "lib", "lib64") if Path("/", name).is_symlink()]
_FOLDERS = ["usr", "etc", "var/lib", *(name for name in ("bin", "sbin", "lib", "lib64") if name not in _LINKS)]


@cache
def _machine() -> tuple[Mount, ...]:
    """Return this machine's programs, and the folder of the Python interpreter if it is installed elsewhere."""
    folders = [Path("/", name) for name in _FOLDERS if Path("/", name).is_dir()]
    python = Path(sys.base_prefix)
    if not any(python.is_relative_to(folder) for folder in folders):
        folders.append(python)
    return tuple(Mount(folder, str(folder), read_only=True) for folder in folders)


def _depth(mount: Mount) -> int:
    """Return the depth of a mount: a mount at /tmp must not hide mounts below it.

    https://github.com/containerd/containerd/blob/main/internal/cri/opts/spec_linux_opts.go (orderedMounts)
    """
    return mount.target.rstrip("/").count("/")


def _bind(mount: Mount) -> dict[str, Any]:
    options = ["rbind", "rprivate", "ro" if mount.read_only else "rw"]
    return {"destination": mount.target, "type": "bind", "source": str(mount.source), "options": options}
