"""The chart of a release installs the published image without any value."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from deploy.release.versions import CHART
from tests.release.checkouts import CHARTS, DIGEST, IMAGE, NAMED, TAG, VERSION, checkout, edit, helm, release

every_chart = pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)


def packaged(root: Path, output: Path) -> Path:
    result = release(root, "chart", TAG, *NAMED, "--output", str(output), "--helm", helm())
    assert result.exit_code == 0, result.stderr
    return Path(result.stdout.strip())


def images(chart: Path, *options: str) -> set[str]:
    """Return what the containers of a rendered chart run."""
    command = [helm(), "template", "graceful-worker", str(chart), "--namespace", "graceful-worker", *options]
    result = subprocess.run(command, text=True, capture_output=True, check=True)
    return set(re.findall(r"^ *(?:- )?image: *\"?([^\"\s]+)\"?$", result.stdout, re.MULTILINE))


@every_chart
def test_its_default_image_is_the_published_one_by_digest(tmp_path: Path, chart: Path) -> None:
    package = packaged(checkout(tmp_path / "checkout", chart), tmp_path / "dist")
    assert package == tmp_path / "dist" / f"graceful-worker-{VERSION}.tgz"
    assert f"{IMAGE}@{DIGEST}" in images(package)
    assert not any(image.startswith("graceful-worker:") for image in images(package))


@every_chart
def test_another_image_can_still_be_named(tmp_path: Path, chart: Path) -> None:
    package = packaged(checkout(tmp_path / "checkout", chart), tmp_path / "dist")
    other = images(package, "--set", "image.repository=mirror.internal/graceful-worker,image.digest=")
    assert f"mirror.internal/graceful-worker:{VERSION}" in other
    assert f"{IMAGE}@{DIGEST}" not in other


@every_chart
def test_the_values_keep_their_comments_and_all_else(tmp_path: Path, chart: Path) -> None:
    root = checkout(tmp_path / "checkout", chart)
    before = (root / CHART / "values.yaml").read_text()
    with tarfile.open(packaged(root, tmp_path / "dist")) as archive:
        file = archive.extractfile("graceful-worker/values.yaml")
        assert file is not None
        after = file.read().decode()
    expected = before.replace("repository: graceful-worker", f"repository: {IMAGE}", 1)
    assert after == expected.replace('digest: ""', f'digest: "{DIGEST}"', 1) != before


def test_the_checkout_stays_as_it_is(tmp_path: Path) -> None:
    root = checkout(tmp_path / "checkout")
    before = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    packaged(root, tmp_path / "dist")
    assert {file: file.read_bytes() for file in root.rglob("*") if file.is_file()} == before


def test_a_chart_without_these_values_is_refused(tmp_path: Path) -> None:
    root = checkout(tmp_path / "checkout")
    edit(root / CHART / "values.yaml", '  digest: ""\n', "")
    result = release(root, "chart", TAG, *NAMED, "--output", str(tmp_path / "dist"), "--helm", helm())
    assert result.exit_code == 1
    assert "values.yaml has no image.repository and image.digest" in result.stderr
