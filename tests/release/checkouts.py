"""Makes checkouts as a tag has them: today's installation, with one version everywhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.release.__main__ import main
from deploy.release.versions import CHART
from tests.deploy.rendered import ROOT
from webhook import __version__

VERSION = "1.2.3"
TAG = f"v{VERSION}"
SMALL_CHART = Path(__file__).parent / "chart"
CHARTS = [SMALL_CHART, *(each for each in (ROOT / CHART,) if each.exists())]
"""A chart with the values that matter here and no others, and the one that is shipped."""
IMAGE = "ghcr.io/example/graceful-worker"
DIGEST = f"sha256:{'5a' * 32}"
NAMED = ("--repository", IMAGE, "--digest", DIGEST)
CHANGELOG = f"""# Changelog

## {VERSION} (2030-01-31)

- Drains end sooner.

## 1.2.2 (2029-12-01)

- Older.
"""


def checkout(directory: Path, chart: Path = SMALL_CHART) -> Path:
    """Make one that can be released."""
    for part in ("base", "components", "overlays"):
        shutil.copytree(ROOT / "deploy" / part, directory / "deploy" / part)
    shutil.copy(ROOT / "deploy/kustomization.yaml", directory / "deploy")
    for file in (directory / "deploy").rglob("*.yaml"):
        text = file.read_text().replace(f"graceful-worker:{__version__}", f"graceful-worker:{VERSION}")
        file.write_text(text.replace(f"kubernetes.io/version: {__version__}", f"kubernetes.io/version: {VERSION}"))
    shutil.copytree(chart, directory / CHART)
    (directory / CHART / "Chart.yaml").write_text((chart / "Chart.yaml").read_text().replace(__version__, VERSION))
    (directory / "webhook").mkdir()
    (directory / "webhook/__init__.py").write_text(f'__version__ = "{VERSION}"\n')
    (directory / "CHANGELOG.md").write_text(CHANGELOG)
    return directory


def edit(file: Path, old: str, new: str) -> None:
    """Change something that is there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def release(root: Path, *arguments: str) -> Result:
    """Run what the workflow runs."""
    return CliRunner().invoke(main, ["--root", str(root), *arguments])


def helm() -> str:
    """Return a Helm, or skip the test."""
    unpacked = ROOT / ".local/helm/helm"
    program = shutil.which("helm") or (str(unpacked) if os.access(unpacked, os.X_OK) else None)
    if program is None:
        pytest.skip(f"no helm in PATH or {unpacked} (make helm)")
    return program
