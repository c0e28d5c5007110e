"""The images of the cases: this machine's programs, with one of three shells as /bin/sh."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from tests.node.images import ENVIRONMENT, busybox_refusal, static_busybox
from tests.node.runtime import Image, Mount

SHELLS = ("dash", "bash", "busybox")
"""What /bin/sh is: as in images of Debian, of Red Hat, and of Alpine, where busybox also provides the usual tools."""
HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
LIBRARY = HERE / "library"
_SUFFIXED = ("consumer", "no-handler", "launcher")
"""Programs of the cases that also exist under a name with .py."""
_MOUNTED = ("/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/sbin", "/usr/share", "/etc")
_OTHER_SHELLS = {"dash": (), "bash": ("dash",), "busybox": ("dash", "bash")}
"""Shells of this machine that the image does not have."""


@cache
def refusal() -> str:
    """Return why the images cannot be made on this machine; empty if they can."""
    if not Path("/bin").is_symlink():
        return "/bin and /usr/bin are two folders here"
    missing = [shell for shell in ("dash", "bash") if shutil.which(shell) is None]
    return f"{missing[0]} is not installed" if missing else busybox_refusal()


def make_images(directory: Path) -> dict[str, Image]:
    """Make an image for each shell, in a folder that is accessible to every user."""
    hosts = directory / "hosts"
    hosts.write_text("127.0.0.1 localhost worker\n")
    programs = shutil.copytree(PROGRAMS, directory / "programs", symlinks=True)
    for name in _SUFFIXED:
        (programs / f"{name}.py").symlink_to(name)
    return {shell: _make_image(directory / shell, shell, hosts, programs) for shell in SHELLS}


def _make_image(directory: Path, shell: str, hosts: Path, programs: Path) -> Image:
    root = directory / "root"
    root.mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "init").symlink_to("usr/local/bin/must-be-first")
    for name in ("tmp", "run"):
        (root / name).mkdir()
        (root / name).chmod(0o1777)
    mounts = [Mount(_programs(directory / "bin", shell), "/usr/bin", read_only=True)]
    mounts += [Mount(Path(folder), folder, read_only=True) for folder in _MOUNTED if Path(folder).is_dir()]
    mounts += [
        Mount(hosts, "/etc/hosts", read_only=True),
        Mount(programs, "/usr/local/bin", read_only=True),
        Mount(LIBRARY, "/usr/local/lib/harm", read_only=True),
    ]
    return Image(tuple(mounts), ENVIRONMENT, root=root)


def _programs(folder: Path, shell: str) -> Path:
    """Make /usr/bin: links to this machine's programs, except for the shell and its tools."""
    folder.mkdir()
    for entry in os.scandir("/usr/bin"):
        if entry.name not in _OTHER_SHELLS[shell]:
            _link(Path(entry.path), folder / entry.name)
    names = _applets() if shell == "busybox" else ["sh"]
    target = "busybox" if shell == "busybox" else shell
    if shell == "busybox":
        _put(folder / "busybox", static_busybox())
    for name in names:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
    return folder


def _link(source: Path, target: Path) -> None:
    if source.is_symlink():
        target.symlink_to(os.readlink(source))
        return
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _put(target: Path, source: Path | None) -> None:
    assert source
    target.unlink(missing_ok=True)
    shutil.copy2(source, target)


@cache
def _applets() -> list[str]:
    listed = subprocess.run([str(static_busybox()), "--list"], check=True, capture_output=True, text=True).stdout
    return [name for name in listed.split() if name != "busybox"]


def with_stop_signal(image: Image, signal: str) -> Image:
    """Return the image with a stop signal in its configuration."""
    return replace(image, stop_signal=signal)


def runs_a_shell(words: Iterable[str]) -> bool:
    """Return whether a command may behave differently in another image: it contains a shell, or one of its tools."""
    return any(_depends_on_image(word) for word in words)


def _depends_on_image(word: str) -> bool:
    name = word.rpartition("/")[2]
    if name in _applets() or name in ("bash", "npm", "npx", "yarn", "pnpm", "runuser", "sudo"):
        return True
    program = PROGRAMS / name
    return program.is_file() and program.read_text().startswith("#!/bin/sh")
