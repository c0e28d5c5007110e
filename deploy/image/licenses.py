"""The licences of the Python packages in the image, from the metadata of what is installed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

_NAMES = ("LICEN", "COPYING", "NOTICE", "AUTHORS")


def collect_licenses(environment: Path, target: Path) -> None:
    """Copy each package's licence files into a folder of its name, and write a table of all of them.

    A package that ships no file has what its metadata says of its licence; one that says nothing stops the build.
    """
    (site_packages,) = environment.glob("lib/python3*/site-packages")
    rows = []
    for distribution in sorted(distributions(path=[str(site_packages)]), key=lambda each: each.name.lower()):
        said = _said(distribution)
        files = list(_license_files(distribution))
        if not said and not files:
            sys.exit(f"{distribution.name} {distribution.version} names no licence: it must not be shipped")
        folder = target / distribution.name.lower()
        for file in files:
            place = folder / _below_metadata(file)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place)
        if not files:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "LICENSE.metadata").write_text(f"{said}\n")
        rows.append(f"{distribution.name}\t{distribution.version}\t{said or 'see its files'}\n")
    (target / "python-packages.tsv").write_text("".join(rows))


def _said(distribution: Distribution) -> str:
    """Return what the metadata says of the licence, in a line: an SPDX expression, a name, or a classifier."""
    for field in ("License-Expression", "License"):
        for text in distribution.metadata.get_all(field) or ():
            if text.strip():
                return str(text).strip().splitlines()[0]
    classifiers = distribution.metadata.get_all("Classifier") or ()
    return ", ".join(each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::"))


def _license_files(distribution: Distribution) -> Iterator[Path]:
    """Find the licence files: what is in `licenses/`, or is named as such files are."""
    for file in distribution.files or ():
        in_metadata = file.parts[0].endswith(".dist-info")
        if in_metadata and ("licenses" in file.parts or file.name.upper().startswith(_NAMES)):
            yield Path(str(distribution.locate_file(file)))


def _below_metadata(file: Path) -> Path:
    parts = file.parts
    inside = parts[next(index for index, part in enumerate(parts) if part.endswith(".dist-info")) + 1 :]
    return Path(*(inside[1:] if inside[0] == "licenses" else inside))
