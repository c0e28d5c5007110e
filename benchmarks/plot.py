"""The picture of the comparison: requests per second and p99 of each server, on log scales.

`python -m benchmarks.plot RESULTS PICTURE`, in the environment of the other servers, which has matplotlib.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

COLOURS = {"ours": "#2e8b57", "peer": "#4c72b0", "floor": "#b8bec6"}
SHOWN = 8
GOALS = {"per_second": 10000.0, "p99": 2.0}
Results = dict[str, Any]


def draw(results: Results, picture: Path) -> None:
    """Draw a row for each server, the fastest on top."""
    comparison = results["comparison"]
    speed = {one["name"]: _middle(results, one["name"], "per_second") for one in comparison["contenders"]}
    who = sorted(comparison["contenders"], key=lambda one: speed[one["name"]])
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "performance", "font.family": "sans-serif"})
    figure, axes = plt.subplots(1, 2, figsize=(11, 0.62 * len(who) + 1.6), sharey=True, layout="constrained")
    _bars(axes[0], results, who, "per_second", "requests per second (log scale): more is better", "{:,.0f}")
    _bars(axes[1], results, who, "p99", "p99 latency in ms (log scale): less is better", "{:.2g}")
    axes[0].set_yticks(range(len(who)), [one["title"] for one in who])
    for label, one in zip(axes[0].get_yticklabels(), who, strict=True):
        label.set_fontweight("bold" if one["role"] == "ours" else "normal")
    title = f"One core, {SHOWN} TLS connections, reviews of 11.7 KB"
    figure.suptitle(f"{title}; green: ours, blue: other webhooks, grey: always the same answer", fontsize=10)
    figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None, dpi=110)


def _bars(axis: Axes, results: Results, who: list[dict[str, Any]], key: str, label: str, form: str) -> None:
    values = [_middle(results, one["name"], key) for one in who]
    axis.set_xscale("log")
    axis.set_xlim(min(*values, GOALS[key]) / 3, max(*values, GOALS[key]) * 3)
    axis.barh(range(len(who)), values, color=[COLOURS[one["role"]] for one in who], height=0.65)
    for row, value in enumerate(values):
        axis.text(value * 1.08, row, form.format(value), va="center", fontsize=9)
    axis.axvline(GOALS[key], color="#d62728", linewidth=1, linestyle="--")
    axis.text(GOALS[key], len(who) - 0.45, "goal", color="#d62728", fontsize=9, ha="center", va="bottom")
    axis.set_xlabel(label)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(axis="y", left=False)


def _middle(results: Results, name: str, key: str) -> float:
    runs = results["comparison"]["runs"]
    return float(median(run[key] for run in runs if (run["contender"], run["connections"]) == (name, SHOWN)))


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
