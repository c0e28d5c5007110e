"""What the prose linter finds in files: each case is a file, and beside it what is found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.prose.check import ROOT, check_file, files_of, read_style

CASES = sorted(Path(__file__).with_name("cases").glob("*.expected"))
STYLE = read_style()


@pytest.mark.parametrize("expected", CASES, ids=lambda path: path.stem)
def test_what_is_found_in_a_file(expected: Path) -> None:
    found = [f"{finding.line}: {finding.message}" for finding in check_file(expected.with_suffix(""), STYLE)]
    assert found == expected.read_text().splitlines()


@pytest.mark.parametrize("suffix", [".md", ".py", ".sh", ".toml", ".yaml"])
def test_each_kind_of_file_has_a_case(suffix: str) -> None:
    assert [case for case in CASES if case.with_suffix("").suffix == suffix]


def test_each_pattern_of_the_style_has_files() -> None:
    for pattern in STYLE.paths:
        assert [path for path in ROOT.glob(pattern) if path.is_file()], pattern


def test_the_cases_themselves_are_not_checked() -> None:
    assert not [path for path in files_of(STYLE) if path.is_relative_to(Path(__file__).parent)]


def test_findings_are_printed_and_the_exit_code_is_1() -> None:
    case = Path("tests") / "prose" / "cases" / "script.sh"
    result = subprocess.run(
        [sys.executable, "-m", "tests.prose", str(case)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stdout.startswith(f"{case}:2: avoid 'somebody'")


def test_without_findings_nothing_is_printed(tmp_path: Path) -> None:
    file = tmp_path / "plain.md"
    file.write_text("# Title\n\nA plain sentence.\n")
    result = subprocess.run(
        [sys.executable, "-m", "tests.prose", str(file)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "")
