"""The drain watch: a pod of its own with few rights, and alerts and a dashboard that use only metrics that it has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.rendered import NAME, ROOT, WATCH, Manifest, installed, select_kind, select_one
from tests.deploy.test_deployment import violations
from tests.deploy.test_monitoring import SEVERITIES, own_metrics
from tests.drains.pods import pod
from webhook.cli.watch import PERMISSIONS, watch_command
from webhook.drains.outcome import LOST, Outcome
from webhook.drains.reflector import PodDeleted, PodsListed
from webhook.drains.tracker import CAUSES
from webhook.watch.event_messages import MESSAGES
from webhook.watch.main import PROTECTED, UNPROTECTED, DrainWatch

ALERTS = {
    "GracefulWorkerMessagesKilled": "drains_total",
    "GracefulWorkerDrainsNearDeadline": "period_used_ratio",
    "GracefulWorkerDrainOverdue": "drains_overdue",
    "GracefulWorkerPodsUnprotected": "unprotected_pods",
    "GracefulWorkerWatchDown": "absent(graceful_worker_watch_build_info)",
    "GracefulWorkerWatchBlind": "watch_failures",
}
"""The metric of each alert, by the alert's name."""
LABEL_VALUES = {
    "outcome": {outcome.value for outcome in Outcome},
    "cause": set(CAUSES),
    "pods": {PROTECTED, UNPROTECTED},
    "le": {"0.8"},
}


def deployment() -> Manifest:
    return select_one(installed("drain-watch"), "Deployment", WATCH)


def template() -> Manifest:
    found: Manifest = deployment()["spec"]["template"]
    return found


def container() -> Manifest:
    (found,) = template()["spec"]["containers"]
    return dict(found)


def rules() -> list[dict[str, Any]]:
    groups = select_one(installed("drain-watch-monitoring"), "PrometheusRule", f"{NAME}-drains")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    (text,) = select_one(installed("drain-watch-monitoring"), "ConfigMap", f"{NAME}-drains-dashboard")["data"].values()
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in dashboard()["panels"] for target in panel["targets"])


def metrics() -> set[str]:
    """Return the names of all series of the watch after it has observed drains."""
    watch = DrainWatch()
    watch.drains.handle(PodsListed([]))
    ends = {"worker": {"at": 5}, "nginx": {"at": 6}}
    watch.drains.handle(PodDeleted(pod("a", sidecars=("nginx",), deleted=0, ends=ends)))
    names = re.findall(r"^(graceful_worker_\w+)", watch.metrics.exposition().decode(), re.MULTILINE)
    return set(names)


def test_the_pod_complies_with_the_restricted_standard() -> None:
    assert violations(template()["spec"]) == []
    assert container()["securityContext"]["readOnlyRootFilesystem"] is True


def test_no_user_is_set_so_that_openshift_can_assign_one() -> None:
    for context in (template()["spec"]["securityContext"], container()["securityContext"]):
        assert not {"runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "seLinuxOptions"} & set(context)


def test_only_one_replica_runs_at_a_time() -> None:
    assert deployment()["spec"]["replicas"] == 1
    assert deployment()["spec"]["strategy"] == {"type": "Recreate"}


def test_it_has_no_priority_class_and_no_cpu_limit() -> None:
    assert "priorityClassName" not in template()["spec"]
    assert set(container()["resources"]["limits"]) == {"memory"}
    assert set(container()["resources"]["requests"]) == {"cpu", "memory"}


def test_no_selector_of_the_webhook_matches_its_pods() -> None:
    manifests = installed("drain-watch")
    labels = template()["metadata"]["labels"].items()
    of_the_webhook = [
        select_one(manifests, "Service")["spec"]["selector"],
        select_one(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        select_one(manifests, "Deployment", NAME)["spec"]["selector"]["matchLabels"],
        *(
            p["spec"]["podSelector"]["matchLabels"]
            for p in select_kind(manifests, "NetworkPolicy")
            if p["metadata"]["name"] != WATCH
        ),
    ]
    assert [selector for selector in of_the_webhook if selector.items() <= labels] == []
    own = select_one(manifests, "NetworkPolicy", WATCH)["spec"]
    assert own["podSelector"] == deployment()["spec"]["selector"]
    assert own["podSelector"]["matchLabels"].items() <= labels


def test_the_port_is_served_probed_scraped_and_open() -> None:
    manifests = installed("drain-watch-monitoring")
    (port,) = container()["ports"]
    defaults = {parameter.name: parameter.default for parameter in watch_command.params}
    assert port["containerPort"] == defaults["port"]
    (ingress,) = select_one(manifests, "NetworkPolicy", WATCH)["spec"]["ingress"]
    assert ingress == {"ports": [{"protocol": "TCP", "port": port["containerPort"]}]}
    for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert container()[probe]["httpGet"] == {"path": path, "port": port["name"]}
    monitor = select_one(manifests, "PodMonitor")["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
    assert monitor["selector"]["matchLabels"].items() <= template()["metadata"]["labels"].items()


def test_the_namespace_label_is_that_of_the_drained_pods() -> None:
    """Otherwise Prometheus would replace it with that of the scraped pod."""
    (endpoint,) = select_one(installed("drain-watch-monitoring"), "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True


def test_every_variable_is_a_setting_and_service_links_are_off() -> None:
    known = {parameter.envvar for parameter in watch_command.params}
    assert [variable["name"] for variable in container()["env"] if variable["name"] not in known] == []
    assert template()["spec"]["enableServiceLinks"] is False
    assert container()["args"] == ["watch"]


def test_a_token_is_mounted_only_because_the_pod_requests_it() -> None:
    assert select_one(installed("drain-watch"), "ServiceAccount", WATCH)["automountServiceAccountToken"] is False
    assert template()["spec"]["automountServiceAccountToken"] is True


def test_the_help_names_the_rights_that_it_has() -> None:
    rules = select_one(installed("drain-watch"), "ClusterRole", WATCH)["rules"]
    described = {f"{' and '.join(rule['verbs'])} {rule['resources'][0]}" for rule in rules}
    assert described == set(PERMISSIONS)


def test_it_is_in_no_mesh() -> None:
    labels = select_one(installed("drain-watch"), "Deployment", NAME)["spec"]["template"]["metadata"]["labels"]
    own = {label: value for label, value in labels.items() if not label.startswith("app.kubernetes.io/")}
    assert template()["metadata"]["labels"] == {**own, "app.kubernetes.io/name": WATCH}


def test_the_image_is_that_of_the_webhook() -> None:
    (webhook,) = select_one(installed("drain-watch"), "Deployment", NAME)["spec"]["template"]["spec"]["containers"]
    assert container()["image"] == webhook["image"]


def test_no_metric_has_the_name_of_a_metric_of_the_webhook() -> None:
    common = {name for name in metrics() & own_metrics() if name.startswith("graceful_worker_")}
    assert common == set()


def test_every_expression_uses_existing_metrics() -> None:
    named = {name for text in expressions() for name in re.findall(r"\bgraceful_worker_\w+", text)}
    assert named - metrics() == set()


def test_every_label_is_compared_with_a_value_that_it_can_have() -> None:
    matchers = [pair for text in expressions() for pair in re.findall(r'(\w+)=~?"([^"]*)"', text)]
    assert matchers
    for label, values in matchers:
        assert set(values.split("|")) <= LABEL_VALUES[label]


def test_the_alert_about_lost_messages_matches_all_their_outcomes() -> None:
    (alert,) = (rule["expr"] for rule in rules() if rule["alert"] == "GracefulWorkerMessagesKilled")
    (outcomes,) = re.findall(r'outcome=~"([^"]*)"', alert)
    assert set(outcomes.split("|")) == {outcome.value for outcome in LOST}


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_says_what_happened_and_what_to_do(alert: str) -> None:
    (rule,) = (rule for rule in rules() if rule["alert"] == alert)
    assert ALERTS[alert] in rule["expr"]
    assert rule["labels"]["severity"] in SEVERITIES
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}


def test_there_are_no_other_alerts() -> None:
    assert {rule["alert"] for rule in rules()} == set(ALERTS)


def test_the_dashboard_is_found_by_grafanas_sidecar_and_its_panels_do_not_overlap() -> None:
    metadata = select_one(installed("drain-watch-monitoring"), "ConfigMap", f"{NAME}-drains-dashboard")["metadata"]
    assert metadata["labels"]["grafana_dashboard"] == "1"
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    cells = [(p["x"] + x, p["y"] + y) for p in places for x in range(p["w"]) for y in range(p["h"])]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(places)


def test_a_bar_is_at_least_as_wide_as_the_interval_that_it_counts() -> None:
    """Otherwise several bars count a drain: at 24 h, Grafana draws a point a minute, each of four scrapes or more."""
    bars = [
        panel
        for panel in dashboard()["panels"]
        if panel["fieldConfig"]["defaults"].get("custom", {}).get("drawStyle") == "bars"
        and any("$__rate_interval" in target["expr"] for target in panel["targets"])
    ]
    assert len(bars) == 3
    assert {panel.get("interval") for panel in bars} == {"5m"}


def test_both_dashboards_have_their_own_uid_and_title() -> None:
    maps = select_kind(installed("drain-watch-monitoring"), "ConfigMap")
    parsed = [json.loads(text) for each in maps for text in each["data"].values()]
    assert len({each["uid"] for each in parsed}) == len({each["title"] for each in parsed}) == 2


def test_the_page_names_all_metrics_alerts_outcomes_and_causes() -> None:
    text = (ROOT / "docs" / "drain-watch.md").read_text()
    families = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in metrics()}
    words = {*families, *ALERTS, *LABEL_VALUES["outcome"], *LABEL_VALUES["cause"], *(each.reason for each in MESSAGES)}
    assert [word for word in sorted(words) if f"`{word}`" not in text] == []
