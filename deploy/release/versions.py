"""A release has one version: the tag, the package, the chart and the manifests must agree on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

CHART = "deploy/helm/graceful-worker"
NAME = "graceful-worker"
_TAG = re.compile(r"v(\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?)")
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_HEADING = re.compile(r"^## (\S+)(?: \((.*)\))?$")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Unfit(Exception):
    """A checkout cannot be released as it is; says why, and what to write instead."""


def version_of_tag(tag: str) -> str:
    """Return the version that a tag names.

    Raises:
        Unfit: it is not the tag of a release.

    """
    if not (match := _TAG.fullmatch(tag)):
        raise Unfit(f"tag {tag!r} is not a release; write v1.2.3, or v1.2.3-rc.1 for a release candidate")
    return match[1]


def check_versions(root: Path, version: str) -> None:
    """Compare a version with all that a checkout says of it.

    Raises:
        Unfit: something has another one, or none.

    """
    others = {place: found for place, found in _versions(root).items() if found != version}
    if others:
        found = ", ".join(f"{place} says {found or 'nothing'}" for place, found in sorted(others.items()))
        raise Unfit(f"the tag is for version {version}, but {found}: make them one, then tag that commit")


def _versions(root: Path) -> dict[str, str]:
    package = _VERSION.search((root / "webhook/__init__.py").read_text())
    found = {"webhook/__init__.py": package[1] if package else ""}
    chart = _chart(root)
    for field in ("version", "appVersion"):
        found[f"{CHART}/Chart.yaml ({field})"] = str(chart.get(field, ""))
    for file in image_users(root):
        versions = re.findall(rf"(?:image: {NAME}:|app\.kubernetes\.io/version: )(\S+)", file.read_text())
        found[str(file.relative_to(root))] = ", ".join(sorted(set(versions)))
    return found


def _chart(root: Path) -> dict[str, Any]:
    file = root / CHART / "Chart.yaml"
    return YAML(typ="safe").load(file.read_text()) if file.exists() else {}


def image_users(root: Path) -> list[Path]:
    """Return the manifests of the installation by kustomize that name the image."""
    folders = (root / "deploy/base", root / "deploy/components")
    files = [file for folder in folders for file in sorted(folder.rglob("*.yaml"))]
    return [file for file in files if f"image: {NAME}:" in file.read_text()]


def release_notes(changelog: str, version: str) -> str:
    """Return the section of the changelog that is about a version.

    Raises:
        Unfit: there is none, or it has no date yet, or says nothing.

    """
    lines = iter(changelog.splitlines())
    for line in lines:
        heading = _HEADING.match(line)
        if heading and heading[1] == version:
            if not _DATE.fullmatch(heading[2] or ""):
                raise Unfit(f"CHANGELOG.md says {line!r}: write its day, as in '## {version} (2030-01-31)'")
            section = []
            for following in lines:
                if _HEADING.match(following):
                    break
                section.append(following)
            if not any(section):
                raise Unfit(f"CHANGELOG.md says nothing below {line!r}")
            return "\n".join(section).strip() + "\n"
    raise Unfit(f"CHANGELOG.md has no section '## {version} (…)'")
