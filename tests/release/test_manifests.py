"""The installation by kustomize of a release: every overlay, with the published image and nothing else changed."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.deploy.rendered import INSTALLATIONS, Manifest, installed, kubectl, render
from tests.release.checkouts import DIGEST, IMAGE, NAMED, TAG, VERSION, checkout, release
from webhook import __version__

ARCHIVE = f"graceful-worker-{VERSION}-kustomize.tar.gz"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kubectl()
    directory = tmp_path_factory.mktemp("release")
    result = release(checkout(directory / "checkout"), "manifests", TAG, *NAMED, "--output", str(directory / "dist"))
    assert result.exit_code == 0, result.stderr
    return directory / "dist"


@pytest.fixture(scope="module")
def unpacked(published: Path) -> Path:
    with tarfile.open(published / ARCHIVE) as archive:
        archive.extractall(published / "unpacked", filter="data")
    return published / "unpacked" / f"graceful-worker-{VERSION}" / "deploy"


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_every_overlay_differs_in_the_image_alone(unpacked: Path, installation: str) -> None:
    folder = unpacked / INSTALLATIONS[installation].relative_to(INSTALLATIONS["default"])
    expected = with_published_image(installed(installation))
    assert render(folder) == expected != installed(installation)


def with_published_image(manifests: list[Manifest]) -> list[Manifest]:
    text = json.dumps(manifests).replace(f'"graceful-worker:{__version__}"', f'"{IMAGE}@{DIGEST}"')
    text = text.replace(f'"app.kubernetes.io/version": "{__version__}"', f'"app.kubernetes.io/version": "{VERSION}"')
    changed: list[Manifest] = json.loads(text)
    return changed


def test_the_rendered_file_is_the_default_installation(published: Path) -> None:
    rendered = list(YAML(typ="safe").load_all((published / "install.yaml").read_text()))
    assert rendered == with_published_image(installed("default"))


def test_the_comment_on_images_names_the_one_that_is_there(unpacked: Path) -> None:
    assert f"set image {IMAGE}=REGISTRY" in (unpacked / "kustomization.yaml").read_text()


def test_the_same_checkout_makes_the_same_archive(published: Path, tmp_path: Path) -> None:
    release(checkout(tmp_path / "elsewhere"), "manifests", TAG, *NAMED, "--output", str(tmp_path / "dist"))
    assert (tmp_path / "dist" / ARCHIVE).read_bytes() == (published / ARCHIVE).read_bytes()
