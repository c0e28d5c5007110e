"""Checks the prose of the files in style.toml, or of the files given, and prints what to change."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.prose.check import ROOT, check_file, files_of, read_style


def main(arguments: list[str]) -> int:
    """Print what to change, and return the exit code."""
    style = read_style()
    files = [Path(argument).resolve() for argument in arguments] or files_of(style)
    findings = [finding for file in files for finding in check_file(file, style)]
    for finding in findings:
        place = finding.path.relative_to(ROOT) if finding.path.is_relative_to(ROOT) else finding.path
        print(finding._replace(path=place))
    if findings:
        print(f"{len(findings)} findings in {len(files)} files. tests/prose/README.md says how to keep a passage.")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
