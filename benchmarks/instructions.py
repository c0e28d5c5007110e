"""A regression check that does not depend on load: instructions per review, counted by callgrind.

`python -m benchmarks.instructions` prints them; with `--write`, the limits are set anew.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.environment import ROOT

LIMITS = Path(__file__).with_name("instructions.toml")
COUNT = 64
"""Reviews in the shorter run; the longer one has twice as many, so that the difference excludes the start."""
ROOM = 1.1
"""The tolerance."""
_COLLECTED = re.compile(r"Collected : (\d+)")
_HEAD = """\
# The most that one review may cost, as a multiple of the yardstick (json.loads and copy.deepcopy of the same review).
# Both are counted in instructions, in the same run; the counts themselves differ between builds of Python.
# Written by `python -m benchmarks.instructions --write`, a tenth above what was counted then.
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """Instructions for one review, and for the yardstick."""

    reviews: int
    yardstick: int

    @property
    def ratio(self) -> float:
        """The ratio, which does not depend on the build of Python."""
        return self.reviews / self.yardstick


def is_installed() -> bool:
    """Whether instructions can be counted here."""
    return shutil.which("valgrind") is not None


def count() -> Counted:
    """Count."""
    return Counted(_per_review("reviews"), _per_review("yardstick"))


def limit() -> float:
    """Return the highest accepted ratio for this version of Python."""
    limits: dict[str, float] = tomllib.loads(LIMITS.read_text(encoding="utf-8"))["limit"]
    return limits.get(_version(), max(limits.values()))


def measure_instructions() -> dict[str, float] | None:
    """Return the counts, their ratio and its limit; None without valgrind."""
    if not is_installed():
        return None
    counted = count()
    return {**asdict(counted), "ratio": counted.ratio, "limit": limit()}


def _per_review(what: str) -> int:
    # Once without valgrind, so that everything is compiled before the first counted run.
    subprocess.run(_command(what, 1), cwd=ROOT, env=_environment(), check=True)
    return (_instructions(what, 2 * COUNT) - _instructions(what, COUNT)) // COUNT


def _instructions(what: str, number: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *_command(what, number)]
    ended = subprocess.run(command, cwd=ROOT, env=_environment(), check=True, capture_output=True, text=True)
    (collected,) = _COLLECTED.findall(ended.stderr)
    return int(collected)


def _command(what: str, number: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.core_path", what, str(number)]


def _environment() -> dict[str, str]:
    """Return the environment without what makes runs differ, or measures coverage."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE", "COV_"))}
    return kept | {"PYTHONHASHSEED": "0"}


def _version() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _write(counted: Counted) -> None:
    limits = tomllib.loads(LIMITS.read_text(encoding="utf-8"))["limit"] if LIMITS.exists() else {}
    limits[_version()] = round(counted.ratio * ROOM, 3)
    rows = "".join(f'"{version}" = {value}\n' for version, value in sorted(limits.items()))
    LIMITS.write_text(f"{_HEAD}[limit]\n{rows}", encoding="utf-8")


if __name__ == "__main__":
    counts = count()
    print(f"{counts.reviews} instructions for a review, {counts.ratio:.3f} times the yardstick's {counts.yardstick}")
    if "--write" in sys.argv[1:]:
        _write(counts)
