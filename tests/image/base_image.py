"""A base image of this machine's own parts, which no registry has to serve: its Debian, and the Python of the tests.

It looks like the official image as far as the Dockerfile relies on it: Python in /usr/local with its standard library
and pip, a shell, coreutils, ldd, dpkg and the authorities that are trusted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.image.buildah import Buildah

PACKAGES = (
    "base-files",
    "bash",
    "dash",
    "coreutils",
    "findutils",
    "grep",
    "sed",
    "libc6",
    "libgcc-s1",
    "libc-bin",
    "dpkg",
    "ca-certificates",
)
FOLDERS = ("bin", "sbin", "lib", "lib64")
STANDARD_LIBRARY = Path(os.__file__).parent
HEAVY = (
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "config-*",
    "__pycache__",
    "tkinter",
    "_tkinter*.so",
)


def make_base(buildah: Buildah, name: str) -> None:
    """Make the image and give it a name."""
    container = buildah.run("from", "scratch")
    root = Path(buildah.run("mount", container))
    for folder in ("usr", "etc", "tmp", "var/lib/dpkg/info", "usr/local/bin", "usr/local/lib"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder in FOLDERS:
        if (link := Path("/", folder)).is_symlink():
            (root / folder).symlink_to(os.readlink(link))
            (root / os.readlink(link)).mkdir(exist_ok=True)
    _copy_packages(root)
    _copy_python(root)
    (root / "etc/ld.so.conf").write_text("/usr/local/lib\n")
    _output("/sbin/ldconfig", "-r", str(root))
    buildah.run("run", container, "--", "/usr/local/bin/python", "-m", "ensurepip", "--altinstall")
    (root / "usr/local/bin/pip").write_text('#!/bin/sh\nexec python -m pip "$@"\n')
    (root / "usr/local/bin/pip").chmod(0o755)
    (root / "etc/pip.conf").write_text(_pip_configuration())
    buildah.run(
        "config",
        "--env",
        "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
        "--env",
        "LANG=C.UTF-8",
        container,
    )
    buildah.run("commit", "--rm", container, name)


def _copy_packages(root: Path) -> None:
    files = [Path(line) for package in PACKAGES for line in _output("dpkg", "-L", package).splitlines()]
    files = [file for file in files if not file.is_dir()]
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    libraries = _libraries([*(file for file in files if os.access(file, os.X_OK)), *_python_files()])
    for file in {*files, *libraries, certificates, Path("/etc/passwd"), Path("/etc/group")}:
        _copy(file, root)
    owners = {*PACKAGES, *(package for library in libraries for package in _owners(library))}
    for file in Path("/var/lib/dpkg/info").iterdir():
        if file.suffix in {".list", ".md5sums"} and file.stem.partition(":")[0] in owners:
            _copy(file, root)
    for name in ("status", "info/format"):
        _copy(Path("/var/lib/dpkg", name), root)
    for package in owners:
        # Its folder may be a link to another package's.
        place = root / "usr/share/doc" / package / "copyright"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path("/usr/share/doc", package, "copyright"), place)
    # As Debian's own does.
    (root / "usr/lib/ssl").mkdir(parents=True, exist_ok=True)
    if not (root / "usr/bin/sh").exists():
        (root / "usr/bin/sh").symlink_to("dash")


def _python_files() -> list[Path]:
    program = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    own = list(Path(sys.base_prefix, "lib").glob("libpython*.so*"))
    return [program, *own, *STANDARD_LIBRARY.glob("lib-dynload/*.so")]


def _copy_python(root: Path) -> None:
    program, *_ = _python_files()
    target = root / "usr/local/bin" / program.name
    shutil.copy2(program, target)
    for link in ("python", "python3"):
        (target.parent / link).symlink_to(program.name)
    for library in Path(sys.base_prefix, "lib").glob("libpython*.so*"):
        shutil.copy2(library, root / "usr/local/lib" / library.name)
    copied = root / "usr/local/lib" / STANDARD_LIBRARY.name
    shutil.copytree(STANDARD_LIBRARY, copied, symlinks=True, ignore=shutil.ignore_patterns(*HEAVY))
    (copied / "site-packages").mkdir()


def _libraries(programs: Iterable[Path]) -> set[Path]:
    found = set()
    for program in programs:
        for word in subprocess.run(["ldd", program], text=True, capture_output=True, check=False).stdout.split():
            if word.startswith(("/lib", "/usr/lib")):
                found.add(Path(word))
    return found


def _owners(file: Path) -> list[str]:
    names = [str(file), str(file).removeprefix("/usr"), f"/usr{file}"]
    result = subprocess.run(["dpkg", "-S", *names], text=True, capture_output=True, check=False)
    return [line.partition(":")[0] for line in result.stdout.splitlines() if not line.startswith("diversion")]


def _copy(file: Path, root: Path) -> None:
    target = root / file.parent.resolve().relative_to("/") / file.name
    if target.exists() or target.is_symlink() or not file.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, target)


def _pip_configuration() -> str:
    """Return where pip finds packages on this machine; what is in folders of it is of no use inside."""
    settings = {"cert": "/etc/ssl/certs/ca-certificates.crt", "disable-pip-version-check": "1"}
    for line in _output(sys.executable, "-m", "pip", "config", "list").splitlines():
        key, _, value = line.partition("=")
        if key.endswith(".index-url"):
            settings["index-url"] = value.strip("'")
    return "\n".join(["[global]", *(f"{key} = {value}" for key, value in settings.items()), ""])


def _output(*command: str) -> str:
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout
