"""A /proc with less information than usual: without signal masks, as in gVisor, or without the files of children.

This machine's kernel has a full /proc, so a library that the dynamic linker loads first (/etc/ld.so.preload) changes
what programs read; the cases' own programs read the real files. It has no effect on static programs, such as the
busybox of these tests. https://github.com/google/gvisor/blob/master/pkg/sentry/fsimpl/proc/task_files.go
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from tests.harm.images import LIBRARY
from tests.node.runtime import Image, Mount

LACKS = {"gvisor": ("MASKS", "CHILDREN"), "no-children": ("CHILDREN",)}
SOURCE = LIBRARY / "restricted-proc.c"


def restricted_proc(image: Image, lacks: str, directory: Path) -> Image:
    """Return the image, changed so that /proc lacks something in its containers."""
    library, preload = directory / "restricted-proc.so", directory / "ld.so.preload"
    _compile(lacks, library)
    library.chmod(0o755)
    preload.write_text("/opt/restricted-proc.so\n")
    mounts = (
        Mount(library, "/opt/restricted-proc.so", read_only=True),
        Mount(preload, "/etc/ld.so.preload", read_only=True),
    )
    return replace(image, mounts=(*image.mounts, *mounts))


def _compile(lacks: str, library: Path) -> None:
    flags = [f"-DLACKS_{what}" for what in LACKS[lacks]]
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", *flags, str(SOURCE)]
    subprocess.run([*command, "-o", str(library), "-ldl"], check=True)
