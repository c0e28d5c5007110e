"""Nothing goes without a case: adding a framework, an annotation or a reason without one fails here."""

from __future__ import annotations

from enum import Enum, EnumMeta

import pytest
from msgspec.structs import replace

from webhook.core.annotations import ANNOTATIONS, Annotation
from webhook.core.reasons import Kind, Reason
from webhook.core.recognize.frameworks import TABLE, Framework, find_framework
from webhook.core.warnings import format_warning

from .cases import Case, all_cases

CASES = all_cases()
BY_NAME = {case.name: case for case in CASES}
OUTCOMES = {Kind.PROTECTED, Kind.LEFT_ALONE}
OF_IMAGES = {reason for reason in Reason if reason.value.startswith(("image-", "registry-"))} - {Reason.IMAGE_UNKNOWN}
"""Why nothing could be learned of an image: they stand behind another reason."""
OF_EVICTIONS = {reason for reason in Reason if reason.value.startswith("eviction-") and reason.kind in OUTCOMES}
"""Their cases are in tests/server/evictions."""
OF_THE_SERVER = {Reason.NOT_A_POD, Reason.NOT_A_CREATION}

every_framework = pytest.mark.parametrize("framework", TABLE.framework, ids=lambda framework: framework.name)
every_annotation = pytest.mark.parametrize("annotation", ANNOTATIONS, ids=lambda annotation: annotation.name)


@every_framework
def test_framework_has_a_case(framework: Framework) -> None:
    case = BY_NAME[f"frameworks/{framework.name}"]
    plan = case.injection.decision.plan
    assert plan is not None
    assert [(worker.framework, worker.mode) for worker in plan.workers] == [(framework.name, framework.mode)]


@every_framework
def test_commands_of_a_framework_are_not_taken_by_another(framework: Framework) -> None:
    # A row may leave some arguments to the one behind it.
    left = [
        row.unfit[0].replace("*", "x") for row in TABLE.framework if row.unfit and row.commands[0] in framework.commands
    ]
    arguments = [] if framework.unfit else left
    for command in framework.commands:
        _, match = find_framework([*command.split(), *arguments])
        assert match is not None, command
        assert match.framework is framework, command


@every_annotation
def test_annotation_has_cases(annotation: Annotation) -> None:
    cases = [case for case in CASES if annotation.key in _annotations(case)]
    protected = {_annotations(case)[annotation.key] for case in cases if _reason(case) is Reason.INJECTED}
    invalid = [case for case in cases if _reason(case) is Reason.ANNOTATION_INVALID]
    assert protected, "no case with a good value"
    assert any(annotation.key in case.injection.refusal for case in invalid), "no case with a bad value"


@every_annotation
def test_values_to_choose_from_have_cases(annotation: Annotation) -> None:
    if isinstance(annotation.read, EnumMeta):
        used = {_annotations(case).get(annotation.key) for case in CASES}
        members: list[Enum] = list(annotation.read)
        assert {member.value for member in members} <= used


OF_BUDGETS = {Reason.TOO_MANY_CONTAINERS, Reason.SHELL_TEXT_TOO_LONG, Reason.PATCH_TOO_LARGE}
"""Such pods are made in test_budgets.py: as files they would be larger than all others together."""


def test_reasons_have_cases() -> None:
    shown = {_reason(case) for case in CASES}
    shown |= {finding.reason for case in CASES for finding in case.injection.decision.findings}
    expected = {reason for reason in Reason if reason.kind is not Kind.ERROR} - OF_THE_SERVER
    assert expected - OF_IMAGES - OF_BUDGETS - OF_EVICTIONS - shown == set()


def test_no_warning_is_cut_short() -> None:
    """Not even the longest container name takes the point from a warning: it is the name that is shortened."""
    found = {finding for case in CASES for finding in case.injection.decision.findings}
    warnings = [finding for finding in found if finding.reason.kind is Kind.WARNING]
    said = [format_warning(replace(finding, container=finding.container and "x" * 63)) for finding in warnings]
    assert [warning for warning in said if warning.endswith("…")] == []


def _annotations(case: Case) -> dict[str, str]:
    metadata = case.pod.get("metadata") if isinstance(case.pod, dict) else None
    return (metadata or {}).get("annotations") or {}


def _reason(case: Case) -> Reason:
    return case.injection.decision.reason
