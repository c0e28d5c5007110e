"""What `graceful-worker drains` prints: each case is a file with the pods, the time, and the expected output."""

from __future__ import annotations

from typing import Any

import pytest

from tests.drains.cases import cases, moment, printed, selected_drains_of
from tests.drains.pods import pod
from webhook.drains.durations import format_duration
from webhook.drains.reflector import PodsListed
from webhook.drains.report import as_object, event_line, table
from webhook.drains.selected_drains import SelectedDrains

TABLES = cases("tables")


@pytest.mark.parametrize("name", TABLES)
def test_the_table_is_that_of_the_file(name: str) -> None:
    assert printed(TABLES[name]) == TABLES[name]["printed"]


@pytest.mark.parametrize("name", [name for name, case in TABLES.items() if "json" in case])
def test_the_json_output_is_that_of_the_file(name: str) -> None:
    case = TABLES[name]
    selected = selected_drains_of(case)
    assert as_object(selected.draining, moment(case["now"]), "prod", selected.protected_pods) == case["json"]


def test_overdue_drains_are_marked() -> None:
    case: dict[str, Any] = {"pods": [{"name": "a", "deleted": 0, "period": 10}, {"name": "b", "deleted": 0}]}
    assert [is_overdue for _, is_overdue in table(selected_drains_of(case).draining, moment(12))] == [
        False,
        True,
        False,
    ]


def test_control_characters_in_fields_of_a_pod_are_not_printed() -> None:
    workers = {"worker": {"mode": "signal", "framework": "celery\x1b[2J\n"}}
    selected = SelectedDrains([""])
    odd = pod("a", deleted=0, workers=workers, disruption="Odd\x07Reason", owner="Set c\x1b[2J")
    started = list(selected.apply("", PodsListed([odd])))
    table_text = "".join(line for line, _ in table(selected.draining, moment(1)))
    for text in (table_text, event_line(started[0], moment(1))):
        assert "set/c?[2J" in text
        assert "celery?[2J? (signal)" in text
        assert "Odd?Reason" in text


@pytest.mark.parametrize("period", [10**10, 10**12, 2**63 - 1])
def test_a_deletion_with_a_period_of_centuries_is_shown(period: int) -> None:
    # The API server's sum overflows too: its time may be anything.
    odd = pod("a", deleted=0, grace=period, period=60)
    odd["metadata"]["deletionGracePeriodSeconds"] = period
    selected = SelectedDrains([""])
    (started,) = selected.apply("", PodsListed([odd]))
    assert len(list(table(selected.draining, moment(1)))) == 2
    assert "shop/a drains" in event_line(started, moment(1))
    assert as_object(selected.draining, moment(1), "", 0)["drains"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0s"), (42, "42s"), (558, "9m18s"), (3600, "1h"), (3661, "1h1m1s"), (7320, "2h2m")]
)
def test_a_duration_is_written_as_kubectl_writes_it(seconds: int, words: str) -> None:
    assert format_duration(seconds) == words
