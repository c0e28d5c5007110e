"""The command line as a plugin: found, run and completed by a real kubectl."""

from __future__ import annotations

import shutil

import pytest

from tests.deploy.rendered import ROOT, kubectl
from tests.packaging.conftest import Installed

MANIFEST = str(ROOT / "tests/cli/manifests/several.yaml")


@pytest.fixture(scope="module", autouse=True)
def _require_kubectl() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip(f"kubectl is not in PATH, but {kubectl()}")


def test_kubectl_lists_the_plugin_without_a_complaint(installed: Installed) -> None:
    listed = installed.run("kubectl", "plugin", "list")
    plugin = str(installed.programs / "kubectl-graceful_worker")
    assert plugin in listed.stdout.splitlines()
    assert plugin not in listed.stderr


def test_kubectl_runs_it_as_one_of_its_own_commands(installed: Installed) -> None:
    plugin = installed.run("kubectl", "graceful-worker", "explain", "-f", MANIFEST, check=False)
    program = installed.run("graceful-worker", "explain", "-f", MANIFEST, check=False)
    assert (plugin.stdout, plugin.returncode) == (program.stdout, program.returncode)
    assert "worker" in plugin.stdout


def test_its_help_speaks_of_the_command_that_was_typed(installed: Installed) -> None:
    assert installed.run("kubectl", "graceful-worker", "explain", "--help").stdout.startswith(
        "Usage: kubectl graceful-worker explain"
    )


def test_kubectl_completes_its_commands(installed: Installed) -> None:
    lines = installed.run("kubectl", "__complete", "graceful-worker", "un").stdout.splitlines()
    assert [line.partition("\t")[0] for line in lines] == ["uninject", ":4"]


def test_kubectl_completes_its_options(installed: Installed) -> None:
    lines = installed.run("kubectl", "__complete", "graceful-worker", "explain", "--only").stdout.splitlines()
    assert [line.partition("\t")[0] for line in lines] == ["--only-labelled", ":4"]


def test_kubectl_offers_files_where_a_file_is_wanted(installed: Installed) -> None:
    assert installed.run("kubectl", "__complete", "graceful-worker", "explain", "-f", "").stdout.splitlines() == [":0"]
