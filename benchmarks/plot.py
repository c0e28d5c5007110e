"""Draws the comparison: requests per second and p99 of each server, on log scales.

`python -m benchmarks.plot RESULTS PICTURE`, in the environment of the other servers, which has matplotlib.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.reviews import ALIKE
from benchmarks.tables import number

ELSEWHERE = Path(__file__).with_name("external_results.toml")
COLOURS = {"ours": "#2e8b57", "peer": "#4c72b0", "elsewhere": "#b3c3e0", "floor": "#b8bec6"}
GOAL = "#d62728"
PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1}
SHOWN = 8
SHOWN_ELSEWHERE = 1
"""The column with the same number of connections in the file."""
GOALS = {"per_second": 10000.0, "p99": 2.0}
Results = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bar:
    """A server in the plot."""

    title: str
    role: str
    per_second: float
    p99: float


def draw(results: Results, picture: Path) -> None:
    """Draw a row for each server, the fastest on top."""
    bars = sorted([*_measured(results), *_elsewhere()], key=lambda bar: bar.per_second)
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "performance", "font.family": "sans-serif"})
    figure, axes = plt.subplots(1, 2, figsize=(11, 0.5 * len(bars) + 1.6), sharey=True, layout="constrained")
    _draw_column(axes[0], bars, "per_second", "requests per second (log scale): more is better", "{:,.0f}".format)
    _draw_column(axes[1], bars, "p99", "p99 latency in ms (log scale): less is better", number)
    axes[0].set_yticks(range(len(bars)), [bar.title for bar in bars])
    for label, bar in zip(axes[0].get_yticklabels(), bars, strict=True):
        label.set_fontweight("bold" if bar.role == "ours" else "normal")
    figure.suptitle(
        f"One core, {SHOWN} TLS connections, reviews of 11.7 KB\n"
        "green: this webhook; blue: others (pale: measured elsewhere); grey: always the same answer",
        fontsize=10,
    )
    figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None, dpi=110)


def _measured(results: Results) -> list[Bar]:
    comparison = results["comparison"]
    bars = []
    for one in comparison["contenders"]:
        shown = (one["name"], SHOWN, ALIKE)
        runs = [run for run in comparison["runs"] if (run["contender"], run["connections"], run["likeness"]) == shown]
        speed, p99 = (median(run[key] for run in runs) for key in ("per_second", "p99"))
        bars.append(Bar(one["title"], one["role"], speed, p99))
    return bars


def _elsewhere() -> list[Bar]:
    rows = tomllib.loads(ELSEWHERE.read_text(encoding="utf-8"))["webhook"]
    return [Bar(r["title"], "elsewhere", r["per_second"][SHOWN_ELSEWHERE], r["p99"][SHOWN_ELSEWHERE]) for r in rows]


def _draw_column(axis: Axes, bars: list[Bar], key: str, label: str, form: Callable[[float], str]) -> None:
    values = [getattr(bar, key) for bar in bars]
    axis.set_xscale("log")
    axis.set_xlim(min(*values, GOALS[key]) / 3, max(*values, GOALS[key]) * 3)
    axis.barh(range(len(bars)), values, color=[COLOURS[bar.role] for bar in bars], height=0.65)
    for row, value in enumerate(values):
        axis.text(value * 1.12, row, form(value), va="center", fontsize=9, bbox=PAPER)
    axis.axvline(GOALS[key], color=GOAL, linewidth=1, linestyle="--", zorder=0)
    axis.text(GOALS[key], len(bars) - 0.45, "goal", color=GOAL, fontsize=9, ha="center", va="bottom")
    axis.set_xlabel(label)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(axis="y", left=False)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
