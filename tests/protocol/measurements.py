"""A pytest plugin that prints the durations that the tests measured, in a table at the end of the test run.

`tests/protocol/conftest.py` registers it. If a run starts in a parent folder, pytest-xdist's controller does not read
that file; then `pytest_plugins` of a conftest in the parent folder has to name this module.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from .pods import SHELLS, Pod

MEASURED = "measured"
"""The name of the property that carries a value from a test to the end of the run, also between xdist's processes."""

Measure = Callable[[str, float, Pod], None]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    table: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == MEASURED and getattr(report, "when", None) == "call":
                    what, shell, milliseconds = value
                    table[what][shell].append(milliseconds)
    if not table:
        return
    terminalreporter.section("measured: milliseconds, median (greatest)")
    shells = [shell for shell in SHELLS if any(shell in row for row in table.values())]
    width = max(map(len, table))
    terminalreporter.write_line(" " * width + "".join(f"{shell:>18}" for shell in shells))
    for what in sorted(table):
        cells = (_cell(table[what].get(shell, ())) for shell in shells)
        terminalreporter.write_line(f"{what:<{width}}" + "".join(f"{cell:>18}" for cell in cells))


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return f"{statistics.median(values):.1f} ({max(values):.1f})"
