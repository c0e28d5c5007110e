"""The chart of a release installs the published image without any value."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from deploy.release.versions import CHART
from tests.release.checkouts import DIGEST, IMAGE, NAMED, TAG, VERSION, checkout, edit, helm, release


def packaged(root: Path, output: Path) -> Path:
    result = release(root, "chart", TAG, *NAMED, "--output", str(output), "--helm", helm())
    assert result.exit_code == 0, result.stderr
    return Path(result.stdout.strip())


def rendered(chart: Path, *options: str) -> dict[str, Any]:
    result = subprocess.run([helm(), "template", chart, *options], text=True, capture_output=True, check=True)
    manifest: dict[str, Any] = YAML(typ="safe").load(result.stdout)
    return manifest


def test_its_default_image_is_the_published_one_by_digest(tmp_path: Path) -> None:
    package = packaged(checkout(tmp_path / "checkout"), tmp_path / "dist")
    assert package == tmp_path / "dist" / f"graceful-worker-{VERSION}.tgz"
    (container,) = rendered(package)["spec"]["containers"]
    assert container["image"] == f"{IMAGE}@{DIGEST}"


def test_another_image_can_still_be_named(tmp_path: Path) -> None:
    package = packaged(checkout(tmp_path / "checkout"), tmp_path / "dist")
    manifest = rendered(package, "--set", "image.repository=mirror.internal/graceful-worker,image.digest=")
    (container,) = manifest["spec"]["containers"]
    assert container["image"] == f"mirror.internal/graceful-worker:{VERSION}"


def test_the_values_keep_their_comments_and_all_else(tmp_path: Path) -> None:
    root = checkout(tmp_path / "checkout")
    before = (root / CHART / "values.yaml").read_text()
    with tarfile.open(packaged(root, tmp_path / "dist")) as archive:
        file = archive.extractfile("graceful-worker/values.yaml")
        assert file is not None
        after = file.read().decode()
    expected = before.replace("repository: graceful-worker", f"repository: {IMAGE}")
    assert after == expected.replace('digest: ""', f'digest: "{DIGEST}"')


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
