"""buildah with a store of its own, so that nothing else on the machine is seen or changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Buildah:
    """A store of images and containers."""

    directory: Path

    def command(self, name: str, *arguments: str) -> list[str]:
        """Return one of its commands, with no namespaces of the kernel where it would use some."""
        isolated = ["--isolation", "chroot"] if name in {"run", "build", "from"} else []
        store = ["--root", f"{self.directory}/store", "--runroot", f"{self.directory}/run", "--storage-driver", "vfs"]
        return ["buildah", *store, name, *isolated, *arguments]

    def run(self, name: str, *arguments: str, cwd: Path | None = None) -> str:
        """Run a command; return what it prints."""
        result = subprocess.run(self.command(name, *arguments), text=True, capture_output=True, check=False, cwd=cwd)
        assert result.returncode == 0, f"buildah {name}:\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
        return result.stdout.strip()


def buildah(directory: Path) -> Buildah:
    """Return a store in a folder, or skip the test."""
    if shutil.which("buildah") is None:
        pytest.skip("no buildah (Debian: apt-get install buildah)")
    if os.geteuid() != 0:
        pytest.skip("buildah needs root to mount what it builds")
    if shutil.which("dpkg") is None:
        pytest.skip("the base image is made of Debian's packages, and this is no Debian")
    return Buildah(directory)
