"""The metrics for Prometheus, and the probes of the kubelet."""

from __future__ import annotations

import json
import platform
import time
from copy import deepcopy

import pytest
from prometheus_client.parser import text_string_to_metric_families

from webhook import __version__
from webhook.core.reasons import Kind, Reason

from .process import Server
from .samples import Review, fresh, read_review
from .wire import post

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
COUNT = "graceful_worker_reviews_total"
SECONDS = "graceful_worker_review_seconds"
VERDICTS = {Kind.PROTECTED, Kind.LEFT_ALONE, Kind.REFUSED, Kind.ERROR}


def series(server: Server) -> Series:
    families = text_string_to_metric_families(server.get("/metrics").body.decode())
    samples = (sample for family in families for sample in family.samples)
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


def count(server: Server, outcome: Kind, reason: Reason, dry_run: str = "false", name: str = COUNT) -> float:
    labels = {"outcome": outcome.value, "reason": reason.value, "dry_run": dry_run}
    return series(server).get((name, frozenset(labels.items())), 0)


REQUESTS = [
    ("symfony-messenger", Kind.PROTECTED, Reason.INJECTED),
    ("web-server", Kind.LEFT_ALONE, Reason.NOT_A_WORKER),
    ("no-command", Kind.PROTECTED, Reason.INJECTED),
    ("annotation-invalid", Kind.REFUSED, Reason.ANNOTATION_INVALID),
    ("deployment", Kind.LEFT_ALONE, Reason.NOT_A_POD),
]


@pytest.mark.parametrize(("name", "outcome", "reason"), REQUESTS)
def test_a_review_is_counted_by_outcome_and_reason(server: Server, name: str, outcome: Kind, reason: Reason) -> None:
    before = count(server, outcome, reason)
    server.review(read_review(name))
    assert count(server, outcome, reason) == before + 1


def test_a_dry_run_is_counted_as_a_dry_run(server: Server, messenger: Review) -> None:
    dry_runs, real = (count(server, Kind.PROTECTED, Reason.INJECTED, dry_run) for dry_run in ("true", "false"))
    server.review(fresh(messenger, dryRun=True))
    assert count(server, Kind.PROTECTED, Reason.INJECTED, "true") == dry_runs + 1
    assert count(server, Kind.PROTECTED, Reason.INJECTED, "false") == real


def test_a_rejected_request_is_counted_as_an_error(server: Server) -> None:
    before = count(server, Kind.ERROR, Reason.REVIEW_INVALID)
    server.review(b"{}")
    assert count(server, Kind.ERROR, Reason.REVIEW_INVALID) == before + 1


def test_a_defect_is_counted_as_an_error(defective_server: Server, messenger: Review) -> None:
    before = count(defective_server, Kind.ERROR, Reason.DEFECT)
    defective_server.review(messenger)
    assert count(defective_server, Kind.ERROR, Reason.DEFECT) == before + 1


def test_requests_for_other_paths_are_not_counted(server: Server) -> None:
    before = series(server)
    for path in ("/healthz", "/readyz", "/metrics", "/unknown"):
        server.get(path)
    assert series(server) == before


def test_the_duration_of_a_review_is_recorded_too(server: Server, messenger: Review) -> None:
    name = f"{SECONDS}_count"
    before = count(server, Kind.PROTECTED, Reason.INJECTED, name=name)
    server.review(messenger)
    assert count(server, Kind.PROTECTED, Reason.INJECTED, name=name) == before + 1


def test_durations_are_in_seconds(server: Server, messenger: Review) -> None:
    name = f"{SECONDS}_sum"
    before = count(server, Kind.PROTECTED, Reason.INJECTED, name=name)
    begin = time.monotonic()
    for _ in range(20):
        server.review(messenger)
    waited = time.monotonic() - begin
    # The client has waited for the responses at least as long; in milliseconds, the value would be larger than that.
    assert 0.0004 < count(server, Kind.PROTECTED, Reason.INJECTED, name=name) - before < waited


def test_every_label_has_a_known_name_and_value(server: Server, messenger: Review) -> None:
    server.review(messenger)
    server.review(b"")
    server.review(fresh(messenger, operation="no operation", namespace="no namespace"))
    for _, labels in series(server):
        known = dict(labels)
        if "reason" in known:
            assert known["reason"] in {reason.value for reason in Reason}
            assert Kind(known["outcome"]) in VERDICTS
            assert known["dry_run"] in ("true", "false")
            assert known.keys() <= {"reason", "outcome", "dry_run", "le"}


def test_the_number_of_series_does_not_depend_on_the_content_of_requests(server: Server, messenger: Review) -> None:
    server.review(messenger)
    before = series(server).keys()
    with server.connect() as connection:
        for number in range(200):
            review = fresh(messenger, namespace=f"namespace-{number}", userInfo={"username": f"user-{number}"})
            pod = deepcopy(review["request"]["object"])
            pod["metadata"]["generateName"] = f"name-{number}-"
            review["request"]["object"] = pod
            assert connection.exchange(post(json.dumps(review).encode())).status == 200
    assert series(server).keys() == before


def test_the_running_version_is_exposed(server: Server) -> None:
    labels = {"version": __version__, "python": platform.python_version()}
    assert series(server)["graceful_worker_build_info", frozenset(labels.items())] == 1


def test_every_metric_has_a_help_text_and_a_type(server: Server) -> None:
    families = list(text_string_to_metric_families(server.get("/metrics").body.decode()))
    assert {family.type for family in families} == {"counter", "histogram", "gauge"}
    assert all(family.documentation for family in families)


def test_the_metrics_have_the_content_type_of_prometheus_text(server: Server) -> None:
    assert server.get("/metrics").headers["content-type"].startswith("text/plain; version=")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_running_server_is_healthy_and_ready(server: Server, path: str) -> None:
    response = server.get(path)
    assert (response.status, response.json) == (200, {"status": "ok"})
