"""What is in wheel and sdist, and that it works without the sources."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from email.parser import HeaderParser

from tests.deploy.rendered import ROOT
from tests.packaging.conftest import Installed
from webhook import __version__

SOURCES = {
    str(file.relative_to(ROOT))
    for folder in ("webhook", "certs")
    for file in (ROOT / folder).rglob("*")
    if file.is_file() and "__pycache__" not in file.parts
}


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == SOURCES
    assert {name.rpartition(".")[2] for name in SOURCES} >= {"py", "sh", "toml"}


def test_the_wheel_has_the_licence_and_the_version(installed: Installed) -> None:
    wheel = zipfile.ZipFile(installed.wheel)
    folder = f"graceful_worker-{__version__}.dist-info"
    metadata = HeaderParser().parsestr(wheel.read(f"{folder}/METADATA").decode())
    assert (metadata["Version"], metadata["License-Expression"]) == (__version__, "Apache-2.0")
    assert wheel.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_the_sdist_holds_what_the_wheel_is_built_from(installed: Installed) -> None:
    with tarfile.open(installed.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert SOURCES | {"pyproject.toml", "README.md", "LICENSE"} <= names
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True, capture_output=True, check=True
    )
    assert names - {"PKG-INFO"} <= set(tracked.stdout.splitlines())


def test_the_installed_program_is_not_run_from_the_sources(installed: Installed) -> None:
    where = installed.run("python", "-c", "import webhook; print(webhook.__file__)").stdout
    assert where.startswith(str(installed.programs.parent))


def test_the_installed_program_tells_its_version_and_its_commands(installed: Installed) -> None:
    assert installed.run("graceful-worker", "--version").stdout == f"graceful-worker, version {__version__}\n"
    assert "explain" in installed.run("graceful-worker", "--help").stdout


def test_the_installed_program_injects_as_the_sources_do(installed: Installed) -> None:
    manifest = ROOT / "tests/cli/manifests/several.yaml"
    injected = installed.run("graceful-worker", "inject", "-f", str(manifest)).stdout
    assert "graceful-worker/status" in injected
    original = installed.home / "injected.yaml"
    original.write_text(injected)
    restored = installed.run("graceful-worker", "uninject", "-f", str(original)).stdout
    assert "graceful-worker/status" not in restored
