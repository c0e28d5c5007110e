"""The tables of the chart's README, from its values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "deploy" / "helm" / "graceful-worker"
README = CHART / "README.md"
COMPONENTS = ROOT / "tests" / "deploy" / "chart" / "components"
OVERLAYS = ROOT / "tests" / "deploy" / "chart" / "overlays"
_LINE = re.compile(r"^(?P<indent> *)(?:# ?(?P<comment>.*)|(?P<name>\w+):.*)?$")


def described() -> Iterator[tuple[tuple[str, ...], str]]:
    """Return the values that have a comment `# -- …`, each by its path, with the comment as one line."""
    path: list[str] = []
    comment: list[str] = []
    for line in (CHART / "values.yaml").read_text().splitlines():
        match = _LINE.match(line)
        if match is None or not line:
            comment = []
        elif match["comment"] is not None:
            comment = (
                [match["comment"]] if match["comment"].startswith("-- ") else comment and [*comment, match["comment"]]
            )
        else:
            path = [*path[: len(match["indent"]) // 2], match["name"]]
            if comment:
                yield tuple(path), " ".join(comment).removeprefix("-- ")
            comment = []


def values() -> dict[str, Any]:
    """Return the default values."""
    found: dict[str, Any] = YAML(typ="safe").load(CHART / "values.yaml")
    return found


def chart_values() -> str:
    """Return the table of all values."""
    rows = [f"| `{'.'.join(path)}` | `{_default(path)}` | {text} |" for path, text in described()]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows])


def _default(path: tuple[str, ...]) -> str:
    value: Any = values()
    for name in path:
        value = value[name]
    return json.dumps(value)


def chart_overlays() -> str:
    """Return the table of the overlays of kustomize, and the values that are equal to them."""
    files = {file.stem: file for folder in (COMPONENTS, OVERLAYS) for file in folder.glob("*.yaml")}
    rows = (f"| {name} | `{file.read_text().strip()}` |" for name, file in sorted(files.items()))
    return "\n".join(["| overlay | values |", "|---|---|", *rows])
