"""The shipped alerts and the dashboard's queries, evaluated by a real Prometheus that scrapes a watch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.control_plane import free_ports
from tests.deploy.test_drain_watch import ALERTS, dashboard, rules
from tests.drains.pods import pod, seconds_since_start
from tests.watch.prometheus import Prometheus, checked, missing, prometheus
from tests.watch.served import Served
from webhook.drains.reflector import PodDeleted, PodsListed, PodUpdated

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

SCRAPED = "count_over_time(graceful_worker_watch_build_info[1m]) >= {}"
GRACE = 100


@contextmanager
def scraped(directory: Path) -> Iterator[tuple[Served, Prometheus]]:
    served = Served()
    try:
        with prometheus(directory, served.port, checked(rules(), directory)) as server:
            yield served, server
    finally:
        served.close()


def rollout(served: Served, server: Prometheus, ends: dict[str, dict[str, Any]], count: int = 3) -> None:
    """Let old pods drain beside a new one, and end them after Prometheus has scraped their drains."""
    begun = seconds_since_start()
    given: dict[str, Any] = {"deleted": begun, "grace": GRACE, "revision": "1", "sidecars": ("nginx",)}
    names = [f"pod-{number}" for number in range(count)]
    served.see(PodsListed([pod("new", revision="2")]))
    served.see(*(PodUpdated(pod(name, **given)) for name in names))
    server.until(f"sum(graceful_worker_drains_running) == {count}")
    server.until("count_over_time(graceful_worker_drains_running[1m]) >= 3")
    absolute = {name: {**end, "at": begun + end["at"]} for name, end in ends.items()}
    served.see(*(PodDeleted(pod(name, **given, ends=absolute)) for name in names))
    server.until(f"sum(graceful_worker_drains_total) == {count}")
    server.until("count_over_time(graceful_worker_drain_longest_seconds[1m]) >= 3")


def test_a_clean_rollout_fires_no_alert_and_every_panel_can_be_drawn(tmp_path: Path) -> None:
    with scraped(tmp_path) as (served, server):
        server.until(SCRAPED.format(3))
        rollout(served, server, {"worker": {"at": 40}, "nginx": {"at": 41}})
        assert server.firing() == set()
        queries = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
        drawn = {query: server.query(query.replace("$__rate_interval", "1m")) for query in queries}
        empty = [query for query, series in drawn.items() if not series]
        # Only queries with a threshold are empty: nothing drains any more, and no drain used over 80 % of its time.
        assert [query for query in empty if not re.search(r"> 0(\.5)?$", query)] == []
        assert any("rollout" in query and series for query, series in drawn.items())


def test_killed_workers_fire_an_alert(tmp_path: Path) -> None:
    with scraped(tmp_path) as (served, server):
        rollout(served, server, {"worker": {"code": 137, "at": GRACE}, "nginx": {"at": GRACE}}, count=1)
        (alert,) = server.until('ALERTS{alertname="GracefulWorkerMessagesKilled"}')
        assert alert["metric"].items() >= {("owner", "emails"), ("owner_kind", "Deployment"), ("outcome", "killed")}
        assert server.firing() == {"GracefulWorkerMessagesKilled"}


def test_drains_near_their_deadline_fire_an_alert(tmp_path: Path) -> None:
    with scraped(tmp_path) as (served, server):
        rollout(served, server, {"worker": {"at": 0.95 * GRACE}, "nginx": {"at": GRACE}}, count=1)
        server.until('ALERTS{alertname="GracefulWorkerDrainsNearDeadline", owner="emails"}')
        assert server.firing() == {"GracefulWorkerDrainsNearDeadline"}


def test_overdue_drains_unprotected_pods_and_failing_watches_fire_alerts(tmp_path: Path) -> None:
    with scraped(tmp_path) as (served, server):
        server.until(SCRAPED.format(3))
        served.see(PodsListed([pod("late", deleted=seconds_since_start() - 1000, grace=GRACE)]))
        raw = pod("bare", protected=False)
        raw["metadata"]["creationTimestamp"] = "2026-08-01T04:00:00Z"
        served.see_unprotected(raw)
        served.fail()
        for name in ("DrainOverdue", "PodsUnprotected", "WatchBlind"):
            server.until(f'ALERTS{{alertname="GracefulWorker{name}"}}')


def test_a_watch_that_is_down_fires_an_alert(tmp_path: Path) -> None:
    (unused_port,) = free_ports(1)
    with prometheus(tmp_path, unused_port, checked(rules(), tmp_path)) as server:
        server.until('ALERTS{alertname="GracefulWorkerWatchDown"}')
        assert server.firing() == {"GracefulWorkerWatchDown"}


def test_every_alert_is_named_in_a_test_above() -> None:
    text = Path(__file__).read_text()
    unseen = [name for name in ALERTS if name.removeprefix("GracefulWorker") not in text]
    assert unseen == []
