"""The goals and their measurements: medians over rounds, ratios, and whether each goal is met."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.reviews import ALIKE, RELEASE, UNLIKE

GOALS = Path(__file__).with_name("goals.toml")
OURS, TUTORIAL, BARE = "graceful_worker", "tutorial", "bare_asgi"
Results = dict[str, Any]
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal and its measurement."""

    what: str
    bound: float
    is_most: bool
    reached: float

    @property
    def is_met(self) -> bool:
        """Whether it is met."""
        return self.reached <= self.bound if self.is_most else self.reached >= self.bound


def runs(results: Results, server: str, connections: int, likeness: str = ALIKE) -> list[dict[str, Any]]:
    """Return a server's runs with a number of connections and a kind of pods, one per round."""
    every: list[dict[str, Any]] = results.get("comparison", {"runs": []})["runs"]
    wanted = (server, connections, likeness)
    return [run for run in every if (run["contender"], run["connections"], run["likeness"]) == wanted]


def middle(of: Iterable[dict[str, Any]], key: str) -> float:
    """Return the median over rounds."""
    return float(median(run[key] for run in of))


def figures(results: Results) -> Figures:
    """Return all measurements in the results."""
    found: Figures = {}
    for part in (_of_comparison, _of_single_parts, _of_weight):
        found |= part(results)
    return found


def goals(results: Results) -> list[Goal]:
    """Return the goals that have a measurement."""
    known = figures(results)
    rows: list[dict[str, Any]] = tomllib.loads(GOALS.read_text(encoding="utf-8"))["goal"]
    return [
        Goal(row["what"], _bound(row, known), "least" not in row, known[row["at"]])
        for row in rows
        if row["at"] in known
    ]


def _bound(row: dict[str, Any], known: Figures) -> float:
    if "most_at" in row:
        return known[row["most_at"]]
    return float(row["most"] if "most" in row else row["least"])


def _of_comparison(results: Results) -> Figures:
    found: Figures = {}
    for connections in (1, 8, 32):
        mine = runs(results, OURS, connections)
        if mine:
            found |= {f"{key}_{connections}": middle(mine, key) for key in ("per_second", "p99", "p999")}
    mine = runs(results, OURS, 8)
    if not mine:
        return found
    found["resident"] = max(run["resident"] for run in mine)
    for other, name in ((TUTORIAL, "times_tutorial"), (BARE, "part_of_bare")):
        theirs = runs(results, other, 8)
        if theirs:
            found[name] = found["per_second_8"] / middle(theirs, "per_second")
    return found | _beside_given(results)


def _beside_given(results: Results) -> Figures:
    """Compare with the fastest of the webhooks given on the command line, for each kind of pods."""
    given = [who["name"] for who in results["comparison"]["contenders"] if who["is_from_command_line"]]
    found: Figures = {}
    for likeness in (ALIKE, RELEASE, UNLIKE):
        mine = runs(results, OURS, 8, likeness)
        theirs = [middle(rows, "per_second") for name in given if (rows := runs(results, name, 8, likeness))]
        if mine and theirs:
            found[f"times_given_{likeness}"] = middle(mine, "per_second") / max(theirs)
    return found


def _of_single_parts(results: Results) -> Figures:
    found: Figures = {}
    if soaked := results.get("soak"):
        # After the first slice of each kind: similar pods, and new ones.
        after = [mib for _, mib in soaked["resident"][2:]]
        found["growth"] = after[-1] - after[0]
        found["resident"] = max(found.get("resident", 0.0), *after)
    if startup := results.get("startup"):
        found["ready"] = median(startup["seconds"]) * 1000
    if bursts := results.get("burst"):
        found["burst_last"] = max(burst["last"] for burst in bursts)
        found["burst_failures"] = sum(len(burst["failures"]) for burst in bursts)
    if pauses := results.get("pauses"):
        found["pause"] = max(generation["longest"] for generation in pauses["generations"].values())
    if wrapper := results.get("wrapper"):
        found["wrapper"] = max(shell["wrapped"] - shell["bare"] for shell in wrapper["shells"].values())
        found["waiting"] = max(mode["processor"] for mode in wrapper["waiting"].values())
    if cluster := results.get("large_cluster"):
        found["cluster_seconds"] = max(row["seconds"] for row in cluster["rows"].values())
        found["cluster_peak"] = max(row["peak"] for row in cluster["rows"].values())
    if size := results.get("size"):
        found["size_signal"], found["size_loop"] = size["signal mode"], size["loop mode, with a sidecar"]
    if instructions := results.get("instructions"):
        found["instructions"] = instructions["ratio"]
        found["instructions_limit"] = instructions["limit"]
    return found


def _of_weight(results: Results) -> Figures:
    weight = results.get("weight")
    if not weight:
        return {}
    return {
        "linear_containers": _bend([(row["containers"], row["processor"]) for row in weight["containers"]]),
        "linear_bytes": _bend([(row["bytes"], row["processor"]) for row in weight["sizes"]]),
        "largest": weight["largest"]["p50"],
        "beside": weight["beside"]["p99"],
    }


def _bend(points: list[tuple[int, float]]) -> float:
    """Return the slope of the last segment of a curve relative to the one before: 1 is a straight line."""
    (x0, y0), (x1, y1), (x2, y2) = points[-3:]
    return ((y2 - y1) / (x2 - x1)) / ((y1 - y0) / (x1 - x0))
