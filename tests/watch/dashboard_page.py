"""Renders the shipped dashboard as a page without Grafana, from its JSON and a real Prometheus.

`python -m tests.watch.dashboard_page PAGE` simulates three rollouts in about 40 s, and writes the page. The page shows
queries, units, legends, colours, stacking and layout as Grafana would; Grafana itself is not involved.
"""

from __future__ import annotations

import html
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.deploy.test_drain_watch import dashboard, rules
from tests.drains.pods import pod, seconds_since_start
from tests.watch.prometheus import Prometheus, checked, missing, prometheus
from tests.watch.served import Served
from webhook.drains.reflector import PodDeleted, PodsListed, PodUpdated

STEP = 1
"""Seconds between two points: short, so that a run of less than a minute fills the screen."""
INTERVAL = "4s"
"""What Grafana substitutes for $__rate_interval: four times the scrape interval or more, which is 0.5 s here."""
COLOURS = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#b877d9", "#5794f2", "#fa6400")
NAMED = {
    "green": "#73bf69", "light-green": "#96d98d", "orange": "#ff9830", "dark-orange": "#fa6400", "red": "#f2495c",
    "purple": "#b877d9", "gray": "#8e8e8e",
}  # fmt: skip
WIDTH, ROW = 60, 34
"""Pixels of a column and of a row of Grafana's grid."""
STYLE = """
body { background: #111217; color: #ccccdc; font: 13px sans-serif; margin: 8px; }
div.panel { position: absolute; background: #181b1f; border: 1px solid #2c3235; padding: 6px; box-sizing: border-box; }
h2 { font-size: 13px; font-weight: 500; margin: 0 0 4px; } b { font-size: 30px; font-weight: 500; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; border-bottom: 1px solid #2c3235; }
"""
Panel = dict[str, Any]
Series = tuple[str, dict[float, float]]


def page(server: Prometheus, begin: float, end: float) -> str:
    """Return the page for the time between `begin` and `end` (seconds since 1970)."""
    panels = "".join(_framed(panel, _content(panel, server, begin, end)) for panel in dashboard()["panels"])
    return f"<!doctype html><meta charset='utf-8'><style>{STYLE}</style>{panels}"


def _framed(panel: Panel, content: str) -> str:
    at = panel["gridPos"]
    place = f"left:{8 + at['x'] * WIDTH}px;top:{8 + at['y'] * ROW}px;width:{at['w'] * WIDTH - 8}px;"
    place += f"height:{at['h'] * ROW - 8}px"
    return f"<div class='panel' style='{place}'><h2>{html.escape(panel['title'])}</h2>{content}</div>"


def _content(panel: Panel, server: Prometheus, begin: float, end: float) -> str:
    if panel["type"] == "stat":
        return _stat(panel, server)
    if panel["type"] == "table":
        return _table(panel, server)
    series = [one for target in panel["targets"] for one in _series(target, server, begin, end)]
    size = panel["gridPos"]["w"] * WIDTH - 22, panel["gridPos"]["h"] * ROW - 74
    return _drawing(panel, series, size, begin, end) if series else "<i>No data</i>"


def _expression(target: dict[str, Any]) -> str:
    return str(target["expr"]).replace("$__rate_interval", INTERVAL)


def _series(target: dict[str, Any], server: Prometheus, begin: float, end: float) -> list[Series]:
    found = server.query_range(_expression(target), begin, end, STEP)
    series = [(_legend(target, one["metric"]), dict(_numbers(one["values"]))) for one in found]
    return [(name, values) for name, values in series if values]


def _numbers(values: list[tuple[float, str]]) -> Iterator[tuple[float, float]]:
    """Drop NaN, which is a quantile of no samples, as Grafana does."""
    return ((float(at), float(value)) for at, value in values if value != "NaN")


def _legend(target: dict[str, Any], labels: dict[str, str]) -> str:
    wanted = target.get("legendFormat") or "{{__name__}}"
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda name: labels.get(name[1], ""), wanted)


def _stat(panel: Panel, server: Prometheus) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    (target,) = panel["targets"]
    found = server.query(_expression(target))
    value = float(found[0]["value"][1]) if found else None
    colour = COLOURS[0]
    for step in defaults.get("thresholds", {}).get("steps", ()):
        if value is not None and (step["value"] is None or value >= step["value"]):
            colour = NAMED[step["color"]]
    return f"<b style='color:{colour}'>{defaults.get('noValue', '') if value is None else _text(value, defaults)}</b>"


def _text(value: float, defaults: dict[str, Any]) -> str:
    text = f"{value:.{defaults.get('decimals', 1)}f}" if value != int(value) else f"{value:.0f}"
    return f"{text} s" if defaults.get("unit") == "s" else text


def _table(panel: Panel, server: Prometheus) -> str:
    """Merge the query results by their labels, as the panel's transformations do."""
    rows: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    (names,) = (one["options"]["renameByName"] for one in panel["transformations"] if one["id"] == "organize")
    own = {
        override["matcher"]["options"]: {each["id"]: each["value"] for each in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
    }
    for target in panel["targets"]:
        column = names[f"Value #{target['refId']}"]
        for one in server.query(_expression(target)):
            defaults = panel["fieldConfig"]["defaults"] | own.get(column, {})
            key = tuple(sorted(one["metric"].items()))
            rows.setdefault(key, {})[column] = _text(float(one["value"][1]), defaults)
    lines = [{names[label]: value for label, value in key if label in names} | row for key, row in rows.items()]
    head = "".join(f"<th>{html.escape(name)}" for name in names.values())
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(line.get(name, ''))}" for name in names.values()) for line in lines
    )
    return f"<table><tr>{head}{body}</table>"


def _drawing(panel: Panel, series: list[Series], size: tuple[float, float], begin: float, end: float) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults.get("custom", {})
    fixed = {
        override["matcher"]["options"]: NAMED[each["value"]["fixedColor"]]
        for override in panel["fieldConfig"]["overrides"]
        for each in override["properties"]
        if each["id"] == "color"
    }
    width, height = size
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    bases: dict[float, float] = {}
    tops = [sum(values.get(at, 0) for _, values in series) for at in {at for _, values in series for at in values}]
    most = max(tops if stacked else [max(values.values()) for _, values in series]) or 1
    shapes, legend = [], []
    for number, (name, values) in enumerate(series):
        colour = fixed.get(name, COLOURS[number % len(COLOURS)])
        legend.append(f"<span style='color:{colour}'>&#9644;</span> {html.escape(name)}")
        points = []
        for at, value in sorted(values.items()):
            base = bases.get(at, 0) if stacked else 0
            bases[at] = base + value
            x, y = (at - begin) / (end - begin) * width, height - (base + value) / most * height
            points.append(f"{x:.1f},{y:.1f}")
            if custom.get("drawStyle") == "bars":
                bar = f"x='{x:.1f}' y='{y:.1f}' width='{width / (end - begin) * STEP * 0.8:.1f}'"
                shapes.append(f"<rect {bar} height='{value / most * height:.1f}' fill='{colour}'/>")
        if custom.get("drawStyle") != "bars":
            shapes.append(f"<polyline points='{' '.join(points)}' fill='none' stroke='{colour}' stroke-width='1.5'/>")
    scale = f"<text x='2' y='12' fill='#8e8e8e'>{_text(most, defaults)}</text>"
    drawn = f"<svg width='{width}' height='{height}'>{''.join(shapes)}{scale}</svg>"
    return f"{drawn}<div>{' &nbsp; '.join(legend)}</div>"


def simulate_rollouts(served: Served, server: Prometheus) -> None:
    """Roll out three owners: one ends cleanly, one is slow, and the workers of one are killed."""
    owners = {"Deployment emails": (20, {}), "StatefulSet orders": (92, {}), "Deployment reports": (100, {"code": 137})}
    served.see(PodsListed([pod(f"new-{number}", owner=owner, revision="2") for number, owner in enumerate(owners)]))
    server.until("count_over_time(graceful_worker_watch_pods[1m]) >= 4")
    for owner, (seconds, ending) in owners.items():
        begun = seconds_since_start()
        given: dict[str, Any] = {
            "owner": owner,
            "deleted": begun,
            "grace": 100,
            "revision": "1",
            "sidecars": ("nginx",),
        }
        names = [f"{owner.split()[1]}-{number}" for number in range(6)]
        served.see(*(PodUpdated(pod(name, **given)) for name in names))
        time.sleep(3)
        for number, name in enumerate(names):
            at = begun + min(seconds + number, 100)
            served.see(PodDeleted(pod(name, **given, ends={"worker": {**ending, "at": at}, "nginx": {"at": at + 1}})))
            time.sleep(1.5)


def main(file: Path) -> None:
    """Write the page."""
    if missing():
        raise SystemExit(missing())
    served = Served()
    try:
        with (
            tempfile.TemporaryDirectory() as directory,
            prometheus(Path(directory), served.port, checked(rules(), Path(directory))) as server,
        ):
            begin = time.time()
            simulate_rollouts(served, server)
            file.write_text(page(server, begin, time.time()), encoding="utf-8")
    finally:
        served.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
