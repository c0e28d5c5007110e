"""docs/reference/versions.md says what the workflows test."""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml import YAML

from tests.documentation.generated import ROOT
from tests.golden.schemas import RELEASES

PAGE = (ROOT / "docs/reference/versions.md").read_text()
JOBS: dict[str, Any] = YAML(typ="safe").load((ROOT / ".github/workflows/ci.yaml").read_text())["jobs"]


def row(begin: str) -> tuple[str, str]:
    """Return the oldest and the newest version in a row of a table."""
    ((oldest, newest),) = re.findall(rf"^\| {re.escape(begin)} \| (\S+) \| (\S+) \|$", PAGE, re.MULTILINE)
    return oldest, newest


def matrix(job: str, name: str) -> tuple[str, ...]:
    return tuple(JOBS[job]["strategy"]["matrix"][name])


def minor(version: str) -> str:
    return ".".join(version.removeprefix("v").split(".")[:2])


def test_what_is_tested_with_is_in_the_workflow() -> None:
    assert row("API server and etcd (envtest)") == matrix("apiserver", "kubernetes")
    nodes = (node.partition("@")[0].partition(":v")[2] for node in matrix("install", "node"))
    assert row("A cluster of three nodes (kind)") == tuple(nodes)
    assert row("Python") == matrix("test", "python")
    assert row("The schemas of all objects, without a cluster") == RELEASES


def test_both_ends_of_kubernetes_are_tested_in_an_api_server_and_in_a_cluster() -> None:
    supported = row("Kubernetes")
    for tested in (row("API server and etcd (envtest)"), row("A cluster of three nodes (kind)")):
        assert tuple(map(minor, tested)) == supported


def test_the_oldest_kubernetes_is_the_one_of_the_schemas() -> None:
    assert minor(RELEASES[0]) == row("Kubernetes")[0]


def test_the_oldest_python_is_the_one_that_the_package_asks_for() -> None:
    assert (
        f'requires-python = ">={row("Python, for the command line from PyPI")[0]}"'
        in (ROOT / "pyproject.toml").read_text()
    )
