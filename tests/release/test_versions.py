"""A release has one version everywhere, and a dated section in the changelog; else nothing of it is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.release.versions import CHART
from tests.release.checkouts import NAMED, TAG, VERSION, checkout, edit, release

PLACES = {
    "webhook/__init__.py": ('"1.2.3"', '"1.2.4"'),
    f"{CHART}/Chart.yaml": ("\nversion: 1.2.3", "\nversion: 1.2.4"),
    "deploy/base/deployment.yaml": ("graceful-worker:1.2.3", "graceful-worker:1.2.4"),
    "deploy/components/drain-watch/deployment.yaml": ("graceful-worker:1.2.3", "graceful-worker:1.2.4"),
}


def test_the_notes_are_the_version_s_section_of_the_changelog(tmp_path: Path) -> None:
    assert release(checkout(tmp_path), "notes", TAG).stdout == "- Drains end sooner.\n"


@pytest.mark.parametrize("command", ["notes", "chart", "manifests"])
@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_made_where_one_place_has_another_version(tmp_path: Path, command: str, place: str) -> None:
    root = checkout(tmp_path)
    edit(root / place, *PLACES[place])
    options = () if command == "notes" else (*NAMED, "--output", str(tmp_path / "dist"))
    result = release(root, command, TAG, *options)
    assert result.exit_code == 1
    assert f"the tag is for version {VERSION}, but {place}" in result.stderr
    assert "1.2.4" in result.stderr
    assert not (tmp_path / "dist").exists()


def test_the_version_of_the_chart_s_program_counts_too(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    edit(root / CHART / "Chart.yaml", "appVersion: 1.2.3", "appVersion: 1.2.2")
    assert "(appVersion) says 1.2.2" in release(root, "notes", TAG).stderr


def test_the_version_of_the_webhook_s_label_counts_too(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    edit(root / "deploy/base/deployment.yaml", "kubernetes.io/version: 1.2.3", "kubernetes.io/version: 1.2.2")
    assert "deploy/base/deployment.yaml says 1.2.2, 1.2.3" in release(root, "notes", TAG).stderr


def test_a_checkout_without_the_chart_is_not_released(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    (root / CHART / "Chart.yaml").unlink()
    assert "Chart.yaml (version) says nothing" in release(root, "notes", TAG).stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("## 1.2.3 (2030-01-31)", "## 1.2.3 (unreleased)", "write its day"),
        ("## 1.2.3 (2030-01-31)", "## 1.2.3", "write its day"),
        ("## 1.2.3 (2030-01-31)", "## 1.2.30 (2030-01-31)", "has no section '## 1.2.3 (…)'"),
        ("- Drains end sooner.\n", "", "says nothing below"),
    ],
)
def test_no_notes_without_a_section_of_the_version_with_its_day(tmp_path: Path, old: str, new: str, said: str) -> None:
    root = checkout(tmp_path)
    edit(root / "CHANGELOG.md", old, new)
    result = release(root, "notes", TAG)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


@pytest.mark.parametrize("tag", ["1.2.3", "v1.2", "v1.2.3-dirty", "v1.2.3.4", "main"])
def test_a_tag_that_is_no_version_is_refused(tmp_path: Path, tag: str) -> None:
    result = release(checkout(tmp_path), "notes", tag)
    assert result.exit_code == 1
    assert f"tag {tag!r} is not a release; write v1.2.3" in result.stderr


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--digest", "sha256:5a", "is not a digest"),
        ("--digest", "5a" * 32, "is not a digest"),
        ("--repository", "ghcr.io/Example/graceful-worker", "in lower case"),
        ("--repository", "graceful-worker", "is not a repository of a registry"),
    ],
)
def test_an_image_is_named_by_a_registry_and_a_whole_digest(tmp_path: Path, option: str, value: str, said: str) -> None:
    options = dict(zip(NAMED[::2], NAMED[1::2], strict=True)) | {option: value}
    words = [word for pair in options.items() for word in pair]
    result = release(checkout(tmp_path), "manifests", TAG, *words, "--output", str(tmp_path / "dist"))
    assert result.exit_code == 1
    assert said in result.stderr
