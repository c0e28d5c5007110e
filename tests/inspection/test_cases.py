"""Every case prints its expected output, and together the cases cover every diagnostic and every verdict."""

from __future__ import annotations

import pytest

from tests.inspection.cases import Case, all_cases, inspect_cluster
from webhook.inspection.checks import Verdict
from webhook.inspection.diagnostics import Code, Severity
from webhook.inspection.drain_limits import TABLE, Limit
from webhook.inspection.requests import (
    DRAIN_HISTORY_PERMISSIONS,
    DRAIN_LIMIT_PERMISSIONS,
    KUBELET_PERMISSIONS,
    PERMISSIONS,
)

CASES = all_cases()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_case_prints_the_expected_output(case: Case) -> None:
    assert case.printed == case.expected.read_text(), "write it anew, and read it: python -m tests.inspection.cases"


def test_the_cases_cover_every_diagnostic_code_and_every_verdict() -> None:
    results = [inspect_cluster(case.api_server, kubelets=case.kubelets) for case in CASES]
    assert {diagnostic.code for _, diagnostics, _ in results for diagnostic in diagnostics} == set(Code)
    assert {verdict for _, _, verdict in results} == set(Verdict)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_only_rights_that_the_help_lists_are_needed(case: Case) -> None:
    api_server = case.api_server
    inspect_cluster(api_server, kubelets=case.kubelets)
    rights = (
        *PERMISSIONS,
        *DRAIN_LIMIT_PERMISSIONS,
        *DRAIN_HISTORY_PERMISSIONS,
        *(KUBELET_PERMISSIONS if case.kubelets else ()),
    )
    assert api_server.rights <= {right.partition(" (")[0] for right in rights}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_full_pods_are_requested_only_if_they_are_protected_or_need_a_decision(case: Case) -> None:
    api_server = case.api_server
    inspect_cluster(api_server)
    whole = [
        request.url.params.get("labelSelector", "")
        for request in api_server.requests
        if request.url.path.endswith("/pods") and "PartialObjectMetadata" not in request.headers["Accept"]
    ]
    installation = ("app.kubernetes.io/name in (graceful-worker)", "app.kubernetes.io/name=graceful-worker-watch")
    known = (*installation, "graceful-worker/injected=true")
    assert [labels for labels in whole if labels not in known and "graceful-worker/injected!=true" not in labels] == []


def test_a_list_can_have_more_than_one_page() -> None:
    api_server = Case("many").api_server
    inspect_cluster(api_server)
    assert any("continue" in request.url.params for request in api_server.requests)


@pytest.mark.parametrize("limit", TABLE.limit, ids=lambda limit: limit.id)
def test_every_limit_of_drains_has_a_source_and_a_case_that_reports_it(limit: Limit) -> None:
    assert limit.source.startswith("https://")
    case = Case(f"drain-{limit.id}")
    _, diagnostics, _ = inspect_cluster(case.api_server, kubelets=case.kubelets)
    cuts = [each for each in diagnostics if each.code in (Code.DRAIN_CUT, Code.DRAIN_KEPT)]
    assert limit.id in [each.values["limit"] for each in cuts]


def test_limits_of_drains_do_not_change_the_exit_code() -> None:
    for case in (Case("drain-gke-spot"), Case("drains-no-rights")):
        _, diagnostics, verdict = inspect_cluster(case.api_server)
        assert {"drains"} <= {each.code.topic for each in diagnostics if each.code.severity is Severity.NOTE}
        assert verdict is Verdict.WORKS


def test_the_history_of_drains_does_not_change_the_exit_code() -> None:
    for case in (Case("history"), Case("history-no-right"), Case("history-no-answer")):
        _, diagnostics, verdict = inspect_cluster(case.api_server)
        assert Severity.NOTE in [each.code.severity for each in diagnostics if each.code.topic == "history"]
        assert verdict is Verdict.WORKS
