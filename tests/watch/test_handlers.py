"""Which metrics, Events and log lines result from the changes of pods: each stream is a file.

`changes` is as in tests/drains/test_tracker.py, with two more kinds: `wait` advances the clock, `unprotected` is a pod
of the second watch. `metrics` has lines of the exposition without the labels that all tests share; of each metric that
it names, it has all samples that are not zero. `events` has all Events, `log` a line for each drain that ended badly.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.golden.cases import FOLDER as GOLDEN
from tests.golden.cases import Case
from tests.watch.scene import Scene, describe_event, unprotected
from webhook.core.pod import read_pod
from webhook.core.select.pods import never_touched
from webhook.drains.pod_fields import decode_pod
from webhook.drains.reflector import PodUpdated

FOLDER = Path(__file__).with_name("streams")
COMMON = ('framework="celery"', 'mode="signal"', 'namespace="shop"', 'owner="emails"', 'owner_kind="Deployment"')
STREAMS = {path.stem: YAML(typ="safe").load(path) for path in sorted(FOLDER.glob("*.yaml"))}


def samples(exposition: str) -> list[str]:
    """Return the samples that are not zero, in the form of `shortened`."""
    lines = [line for line in exposition.splitlines() if re.match("graceful_worker_(drain|sidecar)", line)]
    return [shortened(line) for line in lines if not line.endswith(" 0.0")]


def shortened(line: str) -> str:
    """Remove the prefix, empty labels, and the labels that the pods of tests.drains.pods have by default."""
    line = line.removeprefix("graceful_worker_").removesuffix(".0")
    line = re.sub(r'\b\w+=""', "", line)
    for common in COMMON:
        line = line.replace(common, "")
    return re.sub(",+", ",", line).replace("{,", "{").replace(",}", "}").replace("{}", "")


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_yields_the_metrics_events_and_log_lines_of_the_file(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    stream, scene = STREAMS[name], Scene()
    with caplog.at_level(logging.WARNING, "graceful_worker"):
        for step in stream["changes"]:
            ((kind, given),) = step.items()
            scene.see(kind, given)
    scene.seconds += 10
    scene.write()
    assert [describe_event(event) for event in scene.events] == stream.get("events", [])
    named = {re.split(r"[{ ]", line)[0] for line in stream.get("metrics", [])}
    found = [line for line in samples(scene.metrics.exposition().decode()) if re.split(r"[{ ]", line)[0] in named]
    assert found == stream.get("metrics", [])
    logged = [{key: record.fields[key] for key in ("pod", "outcome", "cause")} for record in caplog.records]  # type: ignore[attr-defined]
    assert logged == stream.get("log", [])


@pytest.mark.parametrize("name", sorted(file.name.removesuffix(".pod.yaml") for file in GOLDEN.glob("who/*.pod.yaml")))
def test_a_pod_that_the_webhook_never_touches_is_not_reported_as_unprotected(name: str) -> None:
    raw = Case(f"who/{name}").pod
    given = unprotected(created=5, name="a")
    metadata = {**(raw.get("metadata") or {}), **given["metadata"]}
    for field in ("labels", "annotations"):
        metadata[field] = (raw.get("metadata") or {}).get(field) or {}
    scene = Scene()
    scene.unprotected.handle(PodUpdated(decode_pod(json.dumps({**raw, "metadata": metadata}).encode())))
    assert scene.aggregator.unprotected == (never_touched(read_pod(raw)) is None)
