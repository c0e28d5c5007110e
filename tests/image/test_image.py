"""The image that is shipped: it serves, and has nothing in it that serving does not need."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.rendered import ROOT
from tests.image.base_image import make_base
from tests.image.buildah import Buildah, buildah
from webhook import __version__

# One build for all of them.
pytestmark = pytest.mark.xdist_group("image")
EPOCH = 1_893_456_000
USER = "65532:65532"
LOCKED = re.findall(r"^([a-z0-9.-]+)==([^ \\]+)( ;.*)?", (ROOT / "requirements/run.txt").read_text(), re.MULTILINE)


@dataclass(frozen=True)
class Shipped:
    """The image, and a container of it."""

    buildah: Buildah
    image: str
    container: str
    root: Path

    def python(self, code: str) -> str:
        return self.buildah.run("run", "--user", USER, self.container, "--", "/venv/bin/python", "-c", code)

    def files(self) -> list[Path]:
        return [file for file in self.root.rglob("*") if file.is_file() and not file.is_symlink()]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipped]:
    tool = buildah(tmp_path_factory.mktemp("buildah"))
    base = re.search(r"^ARG BASE=([^@\s]+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert base is not None
    make_base(tool, f"docker.io/library/{base[1]}")
    # Without its digest: the base is not the published one.
    options = ["--build-arg", f"BASE={base[1]}", "--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}", "--format", "docker"]
    tool.run("build", "--pull-never", *options, "--tag", "graceful-worker", ".", cwd=ROOT)
    container = tool.run("from", "--pull-never", "graceful-worker")
    yield Shipped(tool, "graceful-worker", container, Path(tool.run("mount", container)))
    tool.run("rm", container)
    tool.run("rmi", "--all", "--force")


def test_it_serves_over_tls_as_a_user_without_rights(shipped: Shipped) -> None:
    shipped.buildah.run("run", "--user", USER, shipped.container, "--", *PROGRAM, "certs", "issue", "/tmp/certs")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    served = ["serve", "--host", "127.0.0.1", "--port", str(port)]
    certificate = ["--tls-cert", "/tmp/certs/tls.crt", "--tls-key", "/tmp/certs/tls.key"]
    command = shipped.buildah.command("run", "--user", USER, shipped.container, "--", *PROGRAM, *served, *certificate)
    with subprocess.Popen(command) as server:
        try:
            trust = ssl.create_default_context(cafile=shipped.root / "tmp/certs/ca.crt")
            assert get_status(f"https://127.0.0.1:{port}/healthz", trust) == 200
        finally:
            server.terminate()


PROGRAM = ["/venv/bin/graceful-worker"]


def get_status(url: str, trust: ssl.SSLContext, seconds: float = 60) -> int:
    """Return the status of a response, as soon as there is one."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, context=trust, timeout=5) as answer:
                return int(answer.status)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def test_what_it_runs_is_what_the_deployment_expects(shipped: Shipped) -> None:
    said = json.loads(shipped.buildah.run("inspect", "--type", "image", shipped.image))["Docker"]["config"]
    assert (said["Entrypoint"], said["Cmd"], said["User"]) == (PROGRAM, ["serve"], USER)
    assert said["Healthcheck"]["Test"][:2] == ["CMD", "/venv/bin/python"]
    version = shipped.buildah.run("run", "--user", USER, shipped.container, "--", *PROGRAM, "--version")
    assert version == f"graceful-worker, version {__version__}"


def test_there_is_no_program_but_python_and_this_one(shipped: Shipped) -> None:
    programs = {
        str(file.relative_to(shipped.root))
        for file in shipped.root.rglob("*")
        if file.parent.name in {"bin", "sbin"} and not file.is_dir()
    }
    minor = next(name for name in programs if re.fullmatch(r"usr/local/bin/python3\.\d+", name)).rpartition("python")[2]
    pythons = {f"{folder}/bin/python{suffix}" for folder in ("usr/local", "venv") for suffix in ("", "3", minor)}
    assert programs == {*pythons, "venv/bin/graceful-worker"}


def test_there_is_no_installer(shipped: Shipped) -> None:
    found = shipped.python(
        "import importlib.util as u; print([n for n in ('pip', 'ensurepip', 'setuptools') if u.find_spec(n)])"
    )
    assert found == "[]"


def test_nothing_in_it_gives_rights(shipped: Shipped) -> None:
    assert [file for file in shipped.files() if file.stat().st_mode & 0o6000] == []
    writable = [path for path in shipped.root.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o002]
    assert writable == [shipped.root / "tmp"]


def test_every_module_that_was_left_in_can_be_loaded(shipped: Shipped) -> None:
    """A library that is missing shows only when it is loaded."""
    code = """
import importlib, pathlib, sysconfig
for file in sorted(pathlib.Path(sysconfig.get_path('platstdlib'), 'lib-dynload').glob('*.so')):
    importlib.import_module(file.name.partition('.')[0])
import cryptography.hazmat.bindings._rust, httptools, msgspec, pydantic_core, uvloop, yaml
print('loaded')
"""
    assert shipped.python(code) == "loaded"


def test_registries_with_certificates_of_known_authorities_are_trusted(shipped: Shipped) -> None:
    assert int(shipped.python("import ssl; print(len(ssl.create_default_context().get_ca_certs()))")) > 100


def test_names_are_found_in_the_file_of_hosts(shipped: Shipped) -> None:
    code = "import socket; print(socket.getaddrinfo('localhost', 1, socket.AF_INET)[0][4][0])"
    assert shipped.python(code) == "127.0.0.1"


def test_modules_are_compiled(shipped: Shipped) -> None:
    """The file system is read-only in the cluster, and compiling takes longer than all the rest of a start."""
    code = "import webhook.cli.serve, sys; print([n for n, m in sys.modules.items() if not cached(m)])"
    cached = "cached = lambda m: not getattr(m, '__cached__', None) or __import__('os').path.exists(m.__cached__)"
    assert shipped.python(f"{cached}\n{code}") == "[]"


def test_the_licence_of_every_python_package_is_in_it(shipped: Shipped) -> None:
    licences = shipped.root / "usr/share/licenses"
    table = [line.split("\t") for line in (licences / "python-packages.tsv").read_text().splitlines()]
    named = {name.lower().replace("_", "-").replace(".", "-"): version for name, version, _ in table}
    unconditional = {name: version for name, version, marker in LOCKED if not marker}
    assert unconditional.items() <= named.items()
    assert named["graceful-worker"] == __version__
    assert all(any(file.stat().st_size for file in (licences / name.lower()).rglob("*")) for name, *_ in table)
    assert "PYTHON SOFTWARE FOUNDATION LICENSE" in (licences / "python/LICENSE.txt").read_text()


def test_scanners_find_the_debian_packages_and_people_their_licences(shipped: Shipped) -> None:
    packages = {file.name: file.read_text() for file in (shipped.root / "var/lib/dpkg/status.d").iterdir()}
    assert {"libc6", "libssl3", "ca-certificates"} <= {name.removesuffix("t64") for name in packages}
    for name, status in packages.items():
        assert re.search(rf"^Package: {re.escape(name)}$", status, re.MULTILINE)
        assert re.search(r"^Version: \S+$", status, re.MULTILINE)
        assert (shipped.root / "usr/share/doc" / name / "copyright").stat().st_size > 0


def test_every_file_bears_the_time_that_was_asked_for(shipped: Shipped) -> None:
    made_by_the_container = {"tmp", "etc", "proc", "sys", "dev", "run"}
    times = {
        os.stat(path, follow_symlinks=False).st_mtime
        for path in shipped.root.rglob("*")
        if path.relative_to(shipped.root).parts[0] not in made_by_the_container
    }
    assert times == {EPOCH}
