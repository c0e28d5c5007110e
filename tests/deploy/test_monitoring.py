"""Alerts and dashboard: every metric, label value and page that they name exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from certs.metrics import CertificateMetrics
from tests.deploy.rendered import entries, installed, select_one
from webhook.core.reasons import Kind, Reason
from webhook.server.load_shedding import LoadShedder
from webhook.server.metrics import Metrics

CERTIFICATE_METRICS = {
    "graceful_worker_leaf_expiry_timestamp_seconds",
    "graceful_worker_ca_expiry_timestamp_seconds",
    "graceful_worker_ca_rotations_total",
    "graceful_worker_bundle_healings_total",
    "graceful_worker_certificate_failures_total",
    "graceful_worker_certificate_care",
    "graceful_worker_clock_skew_seconds",
}
API_SERVER_METRICS = {
    "apiserver_admission_webhook_fail_open_count",
    "apiserver_admission_webhook_rejection_count",
    "apiserver_admission_webhook_admission_duration_seconds_bucket",
}
"""https://kubernetes.io/docs/reference/instrumentation/metrics/"""
LABEL_VALUES = {
    "outcome": {kind.value for kind in Kind},
    "reason": {reason.value for reason in Reason},
    "dry_run": {"true", "false"},
    "error_type": {"calling_webhook_error", "apiserver_internal_error", "no_error"},
}
RESOURCES = {
    "GracefulWorkerFailedOpen": {"pods"},
    "GracefulWorkerEvictionsFailedOpen": {"pods/eviction"},
    "GracefulWorkerCallsFail": {"pods"},
    "GracefulWorkerCallsSlow": {"pods", "pods/eviction"},
}
"""The resources of each alert about the API server's calls."""
VERDICTS = [reason for reason in Reason if reason.kind in (Kind.PROTECTED, Kind.LEFT_ALONE, Kind.REFUSED, Kind.ERROR)]
SEVERITIES = {"critical", "warning"}


def rules() -> list[dict[str, Any]]:
    groups = select_one(installed("monitoring"), "PrometheusRule")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    (text,) = select_one(installed("monitoring"), "ConfigMap")["data"].values()
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in dashboard()["panels"] for target in panel["targets"])


def own_metrics() -> set[str]:
    """Return the names of all series of the program; those without a value yet have only a TYPE line."""
    metrics = Metrics(CertificateMetrics(), LoadShedder(1, 1))
    metrics.observe(Reason.INJECTED, outcome=Kind.PROTECTED, dry_run=False, seconds=0.001)
    names = re.findall(r"^(?:# TYPE )?(graceful_worker_\w+)", metrics.exposition().decode(), re.MULTILINE)
    return set(names)


def test_every_expression_uses_existing_metrics() -> None:
    known = own_metrics() | API_SERVER_METRICS
    named = {name for text in expressions() for name in re.findall(r"\b(?:graceful_worker|apiserver)_\w+", text)}
    assert named - known == set()


def test_all_certificate_metrics_exist_and_are_on_the_dashboard() -> None:
    text = json.dumps(dashboard())
    assert own_metrics() >= CERTIFICATE_METRICS
    assert [name for name in CERTIFICATE_METRICS if name not in text] == []


def test_every_label_is_compared_with_a_value_that_it_can_have() -> None:
    matchers = [pair for text in expressions() for pair in re.findall(r'(\w+)!?="([^"]*)"', text)]
    assert matchers
    assert [(label, value) for label, value in matchers if value not in LABEL_VALUES[label]] == []


def resources(expression: str) -> set[str]:
    """Return the resources of the entries that an expression selects; a pattern selects all entries of a resource."""
    manifests = installed("monitoring")
    found = set()
    for pattern in re.findall(r'name=~"([^"]+)"', expression):
        for resource in ("pods", "pods/eviction"):
            selected = {bool(re.fullmatch(pattern, entry["name"])) for entry in entries(manifests, resource)}
            assert len(selected) == 1
            found |= {resource} if selected == {True} else set()
    return found


def test_expressions_with_the_api_servers_metrics_select_the_shipped_entries() -> None:
    for text in expressions():
        assert bool(resources(text)) is ("apiserver_" in text)


def test_an_alert_about_calls_selects_the_resources_that_it_names() -> None:
    """A failure for evictions needs another remedy than one for pods."""
    selected = {rule["alert"]: resources(rule["expr"]) for rule in rules() if "apiserver_" in rule["expr"]}
    assert selected == RESOURCES


@pytest.mark.parametrize("reason", VERDICTS)
def test_expressions_about_pods_exclude_the_reasons_of_evictions_and_no_others(reason: Reason) -> None:
    patterns = {pattern for text in expressions() for pattern in re.findall(r'reason!~"([^"]+)"', text)}
    assert patterns
    for pattern in patterns:
        assert bool(re.fullmatch(pattern, reason.value)) is reason.name.startswith("EVICTION_")


def test_every_expression_has_balanced_brackets() -> None:
    for text in expressions():
        for opening, closing in ("()", "[]", "{}"):
            assert text.count(opening) == text.count(closing), text


@pytest.mark.parametrize(
    "about",
    [
        "leaf_expiry",
        "ca_expiry",
        "certificate_failures",
        "certificate_care",
        "clock_skew",
        "bundle_healings",
        "dropped_connections",
        'outcome="refused"',
        'reason="eviction-unseen"',
        "review_seconds",
        "fail_open_count",
        "rejection_count",
    ],
)
def test_there_is_an_alert_about(about: str) -> None:
    assert any(about in rule["expr"] for rule in rules())


def test_an_alert_has_a_severity_and_says_what_happened_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in SEVERITIES
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}


def test_the_service_monitor_scrapes_the_port_of_the_service() -> None:
    manifests = installed("monitoring")
    monitor, service = select_one(manifests, "ServiceMonitor")["spec"], select_one(manifests, "Service")
    (endpoint,) = monitor["endpoints"]
    (port,) = service["spec"]["ports"]
    assert set(monitor) == {"selector", "endpoints"}
    assert (endpoint["port"], endpoint["scheme"], endpoint["path"]) == (port["name"], "https", "/metrics")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()


def test_the_dashboard_is_found_by_grafanas_sidecar_under_a_fixed_name() -> None:
    metadata = select_one(installed("monitoring"), "ConfigMap")["metadata"]
    assert metadata["name"] == "graceful-worker-dashboard"
    assert metadata["labels"]["grafana_dashboard"] == "1"


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    cells: set[tuple[int, int]] = set()
    identifiers = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not own & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= own
        identifiers.add(panel["id"])
    assert len(identifiers) == len(dashboard()["panels"])
