"""The chart as `helm template` renders it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.deploy.chart.templates import CHART
from tests.deploy.rendered import NAME, UNPACKED, Manifest

HERE = Path(__file__).parent
IN_CLUSTER = ("--api-versions", "v1/Secret")
"""Gives Helm the kinds of a cluster, as Argo CD does: see graceful-worker.knowsKinds in _helpers.tpl."""


def helm_missing() -> str:
    """Return an error if Helm is not installed, or an empty string."""
    return "" if _helm() else "no helm in PATH or .local/helm: make helm"


def helm_program() -> str:
    """Return the path of Helm, or skip the test."""
    program = _helm()
    if program is None:
        pytest.skip(helm_missing())
    return program


def _helm() -> str | None:
    return shutil.which("helm", path=UNPACKED) or shutil.which("helm")


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Helm; it may fail."""
    return subprocess.run([helm_program(), *arguments], text=True, capture_output=True, check=False)


def files(names: Sequence[Path]) -> list[str]:
    return [f"--values={name}" for name in names]


def render(*values: Path, namespace: str = NAME, options: Sequence[str] = ()) -> list[Manifest]:
    """Render the chart with values files; later files take precedence."""
    return deepcopy(_rendered(values, namespace, tuple(options)))


@cache
def _rendered(values: Sequence[Path], namespace: str, options: Sequence[str]) -> list[Manifest]:
    result = helm("template", NAME, str(CHART), "--namespace", namespace, *files(values), *options)
    assert result.returncode == 0, result.stderr
    return [manifest for manifest in YAML(typ="safe").load_all(result.stdout) if manifest]


def refusal(*values: Path, options: Sequence[str] = ()) -> str:
    """Return Helm's error for values that it refuses."""
    result = helm("template", NAME, str(CHART), "--namespace", NAME, *files(values), *options)
    assert result.returncode != 0, "rendered"
    return result.stderr
