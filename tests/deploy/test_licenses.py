"""The licences that are copied into the image, for each way in which a package can declare its licence."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.image.licenses import collect_licenses


def package(environment: Path, metadata: str, **files: str) -> None:
    folder = environment / "lib/python3.13/site-packages/thing-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: thing\nVersion: 1.0\n{metadata}")
    names = {"METADATA": ""} | {name.replace("__", "/"): text for name, text in files.items()}
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (folder / "RECORD").write_text("".join(f"{folder.name}/{name},,\n" for name in names))


def collected(environment: Path, target: Path) -> dict[str, str]:
    collect_licenses(environment, target)
    return {str(file.relative_to(target)): file.read_text() for file in target.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("metadata", "files", "expected"),
    [
        (
            "License-Expression: MIT\nLicense-File: LICENSE\n",
            {"licenses__LICENSE": "text"},
            {"thing/LICENSE": "text", "python-packages.tsv": "thing\t1.0\tMIT\n"},
        ),
        (
            "License: BSD\n",
            {"COPYING": "text", "NOTICE": "more", "top_level.txt": "thing"},
            {"thing/COPYING": "text", "thing/NOTICE": "more", "python-packages.tsv": "thing\t1.0\tBSD\n"},
        ),
        ("", {"LICENSE": "text"}, {"thing/LICENSE": "text", "python-packages.tsv": "thing\t1.0\tsee its files\n"}),
        (
            "Classifier: License :: OSI Approved :: MIT License\n",
            {},
            {"thing/LICENSE.metadata": "MIT License\n", "python-packages.tsv": "thing\t1.0\tMIT License\n"},
        ),
    ],
    ids=["in its folder", "beside the metadata", "a file alone", "a classifier alone"],
)
def test_a_licence_is_found(tmp_path: Path, metadata: str, files: dict[str, str], expected: dict[str, str]) -> None:
    package(tmp_path / "environment", metadata, **files)
    assert collected(tmp_path / "environment", tmp_path / "licenses") == expected


def test_a_package_without_a_licence_stops_the_build(tmp_path: Path) -> None:
    package(tmp_path / "environment", "")
    with pytest.raises(SystemExit, match=r"thing 1\.0 names no licence"):
        collect_licenses(tmp_path / "environment", tmp_path / "licenses")
