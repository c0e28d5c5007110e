"""Images that are made at test time: a root folder that contains only static programs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests.node.runtime import Image

# The variables that a runtime sets if the image does not.
# https://github.com/containerd/containerd/blob/main/pkg/oci/spec.go, defaultUnixEnv
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
UNPACKED = Path(__file__).parent.parent.parent / ".local" / "busybox-static"
"""The folder into which `make busybox-static` unpacks Debian's package busybox-static, which conflicts with busybox."""
_BUSYBOXES = (UNPACKED / "bin" / "busybox", UNPACKED / "usr" / "bin" / "busybox", Path("/bin/busybox"))


@cache
def busybox_refusal() -> str:
    """Return why no image of a static busybox can be made on this machine; empty if one can."""
    return "" if static_busybox() else f"no static busybox in {UNPACKED}: make busybox-static"


def busybox_image(root: Path, names: Iterable[str]) -> Image:
    """Make an image that has a static busybox as /bin/busybox, and links with the given names to it."""
    busybox = static_busybox()
    assert busybox, busybox_refusal()
    folder = root / "bin"
    folder.mkdir(parents=True)
    shutil.copy(busybox, folder / "busybox")
    for name in names:
        (folder / name).symlink_to("busybox")
    return Image(environment=ENVIRONMENT, root=root)


@cache
def compiler_refusal() -> str:
    """Return why no static program can be compiled on this machine; empty if one can."""
    if shutil.which("cc") is None:
        return "cc is not installed"
    with tempfile.TemporaryDirectory(prefix="static-") as directory:
        source = Path(directory, "nothing.c")
        source.write_text("int main(void) { return 0; }\n")
        tried = _compile(source, Path(directory, "nothing"))
    return f"cc -static: {tried.stderr.strip().splitlines()[-1]}" if tried.returncode else ""


def static_image(root: Path, source: Path, program: str) -> Image:
    """Make an image that contains only a static program, compiled from C."""
    path = root / program.lstrip("/")
    path.parent.mkdir(parents=True)
    compiled = _compile(source, path)
    assert compiled.returncode == 0, compiled.stderr
    return Image(environment=ENVIRONMENT, root=root)


def _compile(source: Path, program: Path) -> subprocess.CompletedProcess[str]:
    command = ["cc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(source)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@cache
def static_busybox() -> Path | None:
    """Return the path of a static busybox; None if none exists."""
    return next((path for path in _BUSYBOXES if path.is_file() and _is_static(path)), None)


def _is_static(program: Path) -> bool:
    result = subprocess.run(["ldd", str(program)], check=False, capture_output=True, text=True)
    return any(words in result.stdout + result.stderr for words in ("not a dynamic executable", "statically linked"))
