"""The cases in files, and what is printed of them; `python -m tests.history.cases` writes that anew.

`streams/`: what a watch sees, as in tests/watch/streams, and what follows from the metrics that it serves then.
`metrics/`: metrics as a watch has served them (`.prom`), and what is printed (`.txt`).
`clusters/`: pods and Events that are there where no watch runs. Pods are those of tests/drains/pods.py.
"""

from __future__ import annotations

import datetime
import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from tests.drains.pods import START, pod
from tests.watch.scene import Scene
from webhook.history.metrics import read_metrics
from webhook.history.pods_and_events import combine, read_event_record, read_pod_record
from webhook.history.records import History
from webhook.history.report import format_history
from webhook.watch.metrics import DrainCollector, Metrics, WatchCollector

FOLDER = Path(__file__).parent
PLACE = "graceful-worker/graceful-worker-watch-5b8f"


def files(folder: str, pattern: str = "*.yaml") -> dict[str, Path]:
    return {path.stem: path for path in sorted((FOLDER / folder).glob(pattern))}


def case(path: Path) -> Any:
    return YAML(typ="rt").load(path)


def exposition(changes: list[dict[str, Any]]) -> str:
    """Return the metrics of a watch that started at START, and has seen these changes since."""
    scene = Scene()
    for step in changes:
        ((kind, given),) = step.items()
        for number in range(given.pop("times", 1) if isinstance(given, dict) else 1):
            scene.see(kind, {**given, "name": f"{given['name']}-{number}"} if isinstance(given, dict) else given)
    statistics = scene.drains._statistics
    collectors = (
        DrainCollector(scene.tracker, statistics, scene.now),
        WatchCollector(scene.tracker, {}, scene.aggregator, START),
    )
    return Metrics(*collectors).exposition().decode()


def cluster(given: dict[str, Any]) -> History:
    event_records = [record for each in given.get("events", ()) if (record := read_event_record(each))]
    pod_records = [read_pod_record(pod(**each)) for each in given.get("pods", ())]
    return combine(pod_records, event_records, "", tuple(given.get("missing", ())))


def printed(history: History, days: float = 0) -> str:
    return "".join(f"{line}\n" for line in format_history(history, START + datetime.timedelta(days=days)))


def printed_of_stream(given: dict[str, Any]) -> str:
    return printed(read_metrics(exposition(given["changes"]), PLACE), given["days"])


def printed_of_metrics(path: Path) -> str:
    return printed(read_metrics(path.read_text(), PLACE), days=30)


def _write() -> None:
    yaml = YAML(typ="rt")
    yaml.width = 1000
    for folder, print_case in (("streams", printed_of_stream), ("clusters", lambda given: printed(cluster(given)))):
        for path in files(folder).values():
            before, marker, _ = path.read_text().partition("printed: |\n")
            text = io.StringIO()
            yaml.dump({"printed": LiteralScalarString(print_case(case(path)))}, text)
            path.write_text((before if marker else path.read_text()) + text.getvalue())
    for path in files("metrics", "*.prom").values():
        path.with_suffix(".txt").write_text(printed_of_metrics(path))


if __name__ == "__main__":
    _write()
