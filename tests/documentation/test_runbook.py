"""The runbook: every alert that is shipped has an entry, and the alert says where it is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.deploy.rendered import installed
from tests.documentation.site import ROOT

PAGE = "docs/alerts.md"
TEXT = (ROOT / PAGE).read_text()
ENTRIES = {
    heading: TEXT.partition(f"### {heading}\n")[2].partition("\n### ")[0]
    for heading in re.findall(r"^### (\w+)$", TEXT, re.MULTILINE)
}


def rules() -> list[dict[str, Any]]:
    manifests = [each for each in installed("drain-watch-monitoring") if each["kind"] == "PrometheusRule"]
    return [rule for each in manifests for group in each["spec"]["groups"] for rule in group["rules"]]


def test_every_alert_has_an_entry_and_every_entry_is_an_alert() -> None:
    assert sorted(ENTRIES) == sorted(rule["alert"] for rule in rules())


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_where_its_entry_is(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["runbook"] == f"{PAGE}#{rule['alert'].lower()}"


@pytest.mark.parametrize("alert", ENTRIES)
def test_an_entry_says_what_the_alert_means_what_happens_and_what_to_do(alert: str) -> None:
    for part in ("**What it means**:", "**What happens**:", "**What to do**:"):
        assert part in ENTRIES[alert]


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=lambda page: page.stem)
def test_every_alert_that_a_page_names_exists(page: Any) -> None:
    named = set(re.findall(r"`(GracefulWorker\w+)`", page.read_text()))
    assert named <= set(ENTRIES)
