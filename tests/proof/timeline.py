"""Draw a picture of one rollout: pods as rows, messages as bars; unpatched above, patched below.

`python -m tests.proof.timeline RESULTS PICTURE`, in the virtual environment of the proof's frameworks, which includes
matplotlib.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

WORKER = "symfony"
SCENARIO = "rollout"
POD, ENDED, LOST, DELETED = "#e3e6ea", "#2e8b57", "#d62728", "#1f2937"
Result = dict[str, Any]
Bar = tuple[float, float, bool]
"""Begin and length in seconds, and whether the message ended."""


def draw(results: list[Result], picture: Path) -> None:
    """Draw the rollout of one worker, unpatched and patched."""
    rollouts = [next(r for r in results if _is_shown(r, protected)) for protected in (False, True)]
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "rollout", "font.family": "sans-serif"})
    figure, axes = plt.subplots(2, 1, figsize=(11, 8.2), sharex=True, layout="constrained")
    for axis, result in zip(axes, rollouts, strict=True):
        _draw_rollout(axis, result)
    axes[1].set_xlabel("seconds since the rollout began")
    end = max(_seconds(line["when"], _begin(result)) for result in rollouts for line in result["lines"])
    axes[0].set_xlim(-7, end + 0.5)
    figure.legend(
        handles=[
            Patch(color=POD, label="pod"),
            Patch(color=ENDED, label="message, handled to its end"),
            Patch(color=LOST, label="message, killed"),
            Line2D([], [], marker="v", color=DELETED, linestyle="", label="pod deleted"),
            Line2D([], [], marker="|", markersize=12, color=DELETED, linestyle="", label="pod's end"),
        ],
        loc="outside lower center",
        ncols=5,
        frameon=False,
    )
    figure.savefig(picture, metadata={"Date": None})


def _is_shown(result: Result, protected: bool) -> bool:
    return (result["worker"], result["scenario"], result["protected"]) == (WORKER, SCENARIO, protected)


def _begin(result: Result) -> int:
    """Return the time at which the first pod was deleted."""
    return min(int(pod["deleted"]) for pod in result["pods"] if pod["deleted"])


def _seconds(when: int, begin: int) -> float:
    return (when - begin) / 1e9


def _draw_rollout(axis: Axes, result: Result) -> None:
    begin = _begin(result)
    last = max(line["when"] for line in result["lines"])
    for row, pod in enumerate(result["pods"]):
        end = max(pod["worker_ended"], pod["sidecar_ended"]) if pod["deleted"] else 0
        _bar(axis, row, _seconds(pod["started"], begin), _seconds(end or last, begin), POD, 0.9)
        for start, length, ended in _messages(result["lines"], pod, begin):
            _bar(axis, row, start, start + length, ENDED if ended else LOST, 0.5)
            if not ended:
                axis.plot(start + length, row, "X", color=LOST, markeredgecolor="white", markersize=10, zorder=3)
        if pod["deleted"]:
            axis.plot(_seconds(pod["deleted"], begin), row - 0.42, "v", color=DELETED, markersize=5)
            axis.plot(_seconds(end, begin), row, "|", color=DELETED, markersize=13, markeredgewidth=1.6)
    count = result["balance"]
    lost, repeated = len(count["lost"]) + len(count["missing"]), len(count["repeated"])
    what = "with graceful-worker" if result["protected"] else "unpatched"
    axis.set_title(
        f"Rollout of 8 pods, {what}: {lost} messages lost, {repeated} repeated",
        loc="left",
        fontweight="bold",
        color=LOST if lost or repeated else ENDED,
    )
    axis.set_yticks(range(len(result["pods"])), [_label(pod["name"]) for pod in result["pods"]], fontsize=8)
    axis.invert_yaxis()
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(left=False)
    axis.axvline(0, color=DELETED, linewidth=0.6, linestyle=":")


def _bar(axis: Axes, row: int, begin: float, end: float, colour: str, height: float) -> None:
    axis.barh(row, max(end - begin, 0.03), left=begin, height=height, color=colour, edgecolor="white", linewidth=0.5)


def _messages(lines: list[dict[str, Any]], pod: dict[str, Any], begin: int) -> Iterator[Bar]:
    """Return the bars of a pod's messages; the bar of one that never ended lasts until the end of its worker."""
    mine = [line for line in lines if line["pod"] == pod["name"]]
    ends = {line["job"]: line["when"] for line in mine if line["event"] == "end"}
    for line in mine:
        if line["event"] == "start":
            end = ends.get(line["job"], pod["worker_ended"])
            yield _seconds(line["when"], begin), (end - line["when"]) / 1e9, line["job"] in ends


def _label(name: str) -> str:
    _, revision, number = name.split("-")
    return f"{'old' if revision == '1' else 'new'} {int(number)}"


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
