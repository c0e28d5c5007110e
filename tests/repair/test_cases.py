"""Every case and every run prints its expected output, and together they cover every result."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.inspection.cases import objects_of
from tests.repair.cases import FOLDER, Case, Run, all_cases, all_runs, printed
from tests.repair.played import Played, PlayedClock
from webhook.inspection.requests import PERMISSIONS, REPAIR_PERMISSIONS
from webhook.repair.blockers import BlockerCode
from webhook.repair.plan import Selection
from webhook.repair.results import Outcome

CASES = all_cases()
RUNS = all_runs()
HINT = "write it anew, and read it: python -m tests.repair.cases"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_dry_run_prints_the_expected_output(case: Case) -> None:
    assert case.printed == case.expected.read_text(), HINT


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_a_run_prints_the_expected_output(run: Run) -> None:
    assert run.printed == run.expected.read_text(), HINT


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_dry_run_changes_nothing_and_needs_only_rights_that_the_help_lists(case: Case) -> None:
    api_server = case.api_server
    case.print(api_server)
    assert {request.method for request in api_server.requests} == {"GET"}
    assert api_server.rights <= {right.partition(" (")[0] for right in (*PERMISSIONS, *REPAIR_PERMISSIONS)}


def _json_of(case: Case) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(case.print(case.api_server, as_json=True) or "{}")
    return report


def test_the_cases_and_runs_cover_every_blocker_and_every_outcome() -> None:
    blockers = {each["code"] for case in CASES for each in _json_of(case).get("byHand", ())}
    assert blockers == {blocker.value for blocker in BlockerCode}
    results = {each["code"] for run in RUNS for each in json.loads(run.print(as_json=True))["results"]}
    assert results == {outcome.value for outcome in Outcome} | {"not-begun"}


def test_the_json_output_of_a_dry_run_has_codes_commands_and_pods() -> None:
    report = _json_of(Case("of-the-readme"))
    assert (report["exitCode"], report["wait"], report["results"]) == (1, None, None)
    assert [(each["name"], each["unprotected"], each["older"], each["versions"]) for each in report["restart"]] == [
        ("orders", ["orders-7cb59-a", "orders-7cb59-b"], [], []),
        ("emails", [], ["emails-7cb59-a"], ["0.0.9"]),
    ]
    assert report["restart"][0]["command"] == "kubectl -n workers rollout restart deployment/orders"


def test_the_json_output_of_a_run_has_the_result_of_each_owner() -> None:
    report = json.loads(Run("comes-back-bare").print(as_json=True))
    assert report["exitCode"] == 1
    assert [(each["name"], each["code"]) for each in report["results"]] == [
        ("a", "repaired"),
        ("b", "unprotected"),
        ("c", "not-begun"),
    ]
    assert report["results"][1]["values"]["pod"] == "b-7cb59-new-0"


def test_restarts_keep_the_minimum_interval() -> None:
    run = Run("all-repaired").script
    played = Played(objects_of(FOLDER / run["case"] / "cluster.yaml"), run["acts"])
    printed(played, Selection(), PlayedClock(played), is_dry=False, as_json=False)
    assert played.restarted == [("deployment/a", 0), ("deployment/b", 30), ("deployment/c", 60)]


def test_a_restart_sends_the_same_patch_as_kubectl() -> None:
    run = Run("all-repaired").script
    played = Played(objects_of(FOLDER / run["case"] / "cluster.yaml"), run["acts"])
    printed(played, Selection(), PlayedClock(played), is_dry=False, as_json=False)
    changes = [request for request in played.requests if request.method == "PATCH"]
    assert [json.loads(request.content) for request in changes] == [
        {
            "spec": {
                "template": {
                    "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-08-01T03:00:00+00:00"}}
                }
            }
        }
    ] * 3
