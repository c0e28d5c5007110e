"""Every case and every run prints what its file contains, and together they cover every result."""

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
def test_what_a_dry_run_prints(case: Case) -> None:
    assert case.printed == case.expected.read_text(), HINT


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_what_a_run_prints(run: Run) -> None:
    assert run.printed == run.expected.read_text(), HINT


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_dry_run_changes_nothing_and_needs_no_right_that_the_help_does_not_name(case: Case) -> None:
    api_server = case.api_server
    case.print(api_server)
    assert {request.method for request in api_server.requests} == {"GET"}
    assert api_server.rights <= {right.partition(" (")[0] for right in (*PERMISSIONS, *REPAIR_PERMISSIONS)}


def _said(case: Case) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(case.print(case.api_server, as_json=True) or "{}")
    return said


def test_every_obstacle_and_every_outcome_is_shown() -> None:
    obstacles = {each["code"] for case in CASES for each in _said(case).get("byHand", ())}
    assert obstacles == {obstacle.value for obstacle in BlockerCode}
    results = {each["code"] for run in RUNS for each in json.loads(run.print(as_json=True))["results"]}
    assert results == {outcome.value for outcome in Outcome} | {"not-begun"}


def test_scripts_get_codes_commands_and_pods() -> None:
    said = _said(Case("of-the-readme"))
    assert (said["exitCode"], said["wait"], said["results"]) == (1, None, None)
    assert [(each["name"], each["unprotected"], each["older"], each["versions"]) for each in said["restart"]] == [
        ("orders", ["orders-7cb59-a", "orders-7cb59-b"], [], []),
        ("emails", [], ["emails-7cb59-a"], ["0.0.9"]),
    ]
    assert said["restart"][0]["command"] == "kubectl -n workers rollout restart deployment/orders"


def test_scripts_get_what_became_of_each_owner() -> None:
    said = json.loads(Run("comes-back-bare").print(as_json=True))
    assert said["exitCode"] == 1
    assert [(each["name"], each["code"]) for each in said["results"]] == [
        ("a", "repaired"),
        ("b", "unprotected"),
        ("c", "not-begun"),
    ]
    assert said["results"][1]["values"]["pod"] == "b-7cb59-new-0"


def test_restarts_are_no_faster_than_is_wanted() -> None:
    run = Run("all-repaired").script
    played = Played(objects_of(FOLDER / run["case"] / "cluster.yaml"), run["acts"])
    printed(played, Selection(), PlayedClock(played), is_dry=False, as_json=False)
    assert played.restarted == [("deployment/a", 0), ("deployment/b", 30), ("deployment/c", 60)]


def test_a_restart_is_what_kubectl_does() -> None:
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
