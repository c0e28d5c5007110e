"""The wheel, installed into an environment of its own, far from the sources."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.rendered import ROOT


@dataclass(frozen=True)
class Installed:
    """An environment into which the wheel was installed, and the files it came from."""

    wheel: Path
    sdist: Path
    programs: Path
    home: Path

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program of it in an empty folder, found by PATH as a user's shell finds it."""
        environment = {"PATH": f"{self.programs}:{os.environ['PATH']}", "HOME": str(self.home), "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            command, env=environment, cwd=self.home, text=True, capture_output=True, check=check, timeout=120
        )


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    directory = tmp_path_factory.mktemp("package")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", str(directory)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,), (sdist,) = directory.glob("*.whl"), directory.glob("*.tar.gz")
    environment = directory / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    (site_packages,) = environment.glob("lib/python3*/site-packages")
    # The dependencies are those of the tests. Their folder is searched for modules, not for .pth files: one of these
    # leads to the sources.
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [
        str(environment / "bin/python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--ignore-installed",
    ]
    subprocess.run([*pip, str(wheel)], check=True)
    (directory / "home").mkdir()
    return Installed(wheel, sdist, environment / "bin", directory / "home")
