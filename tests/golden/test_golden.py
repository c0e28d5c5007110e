"""The injection of each golden pod, and what must hold for every injected pod."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import jsonpatch
import jsonpointer
import pytest

from webhook.core.injection import inject
from webhook.core.policy import ShellSource
from webhook.core.reasons import Kind, Reason
from webhook.core.uninject import restore
from webhook.core.warnings import WARNING_LENGTH

from .cases import FOLDER, Case, all_cases, read_yaml, readable, write_yaml
from .schemas import RELEASES, faults

CASES = all_cases()
INJECTED = [case for case in CASES if case.file("injected").exists()]
LONGEST_REFUSAL = 2000

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_injected = pytest.mark.parametrize("case", INJECTED, ids=str)


@every_case
def test_decision(case: Case, update_golden: bool) -> None:
    if update_golden:
        write_yaml(case.file("reasons"), case.reasons)
    assert case.reasons == read_yaml(case.file("reasons"))


@every_case
def test_injected_pod(case: Case, update_golden: bool) -> None:
    if update_golden:
        case.file("injected").unlink(missing_ok=True)
        if case.injection.patch:
            write_yaml(case.file("injected"), readable(case.injected))
    expected = case.expected_pod
    if expected is None:
        assert case.injection.patch == []
    else:
        assert readable(case.injected) == expected


@every_case
def test_input_is_left_as_it_is(case: Case) -> None:
    pod = deepcopy(case.pod)
    inject(pod, case.policy, case.images)
    assert pod == case.pod


@every_case
def test_only_protected_pods_are_patched(case: Case) -> None:
    reason = case.injection.decision.reason
    assert bool(case.injection.patch) == (reason is Reason.INJECTED)
    assert bool(case.injection.refusal) == (case.injection.decision.outcome is Kind.REFUSED)


@every_case
def test_lengths(case: Case) -> None:
    assert all(len(warning) <= WARNING_LENGTH for warning in case.injection.warnings)
    assert len(case.injection.refusal) < LONGEST_REFUSAL


@every_injected
def test_second_pass_changes_nothing(case: Case) -> None:
    second = inject(case.injected, case.policy)
    assert second.patch == []
    assert second.decision.reason is Reason.UNCHANGED
    # What was in trouble the first time is not asked again.
    passing = f"{Reason.REGISTRY_TROUBLE.value}: "
    assert second.warnings == [said for said in case.injection.warnings if not said.startswith(passing)]


@every_injected
def test_undoing_gives_the_pod_back(case: Case) -> None:
    assert _undone(case.injected) == _undone(case.pod)


@every_injected
@pytest.mark.parametrize("release", RELEASES)
def test_valid_pods_stay_valid(case: Case, release: str) -> None:
    if faults(case.pod, release):
        pytest.skip("the pod was not valid before")
    if case.policy.shell_source is ShellSource.IMAGE_VOLUME and release == RELEASES[0]:
        pytest.skip("this release has no image volumes")
    assert faults(case.injected, release) == []


@every_injected
def test_patch_is_minimal(case: Case) -> None:
    pod = case.pod
    for operation in case.injection.patch:
        if operation["op"] == "move":
            pod = jsonpatch.apply_patch(pod, [operation])
            continue
        there = jsonpointer.resolve_pointer(pod, operation["path"], None)
        new = there is None or isinstance(there, jsonpointer.EndOfList)
        assert operation["op"] in (("add", "replace") if new else ("replace",))
        assert there != operation["value"]
        assert not _holds_objects(there), f"{operation['path']} is replaced as a whole"
        pod = jsonpatch.apply_patch(pod, [operation])


@every_injected
def test_whole_containers_are_moved_behind_everything_else(case: Case) -> None:
    operations = [operation["op"] for operation in case.injection.patch]
    assert operations == sorted(operations, key="move".__eq__)
    moves = [operation for operation in case.injection.patch if operation["op"] == "move"]
    assert all(re.fullmatch(r"/spec/containers/\d+", move["from"]) for move in moves)
    assert all(move["path"] == "/spec/initContainers/-" for move in moves)


def test_every_file_belongs_to_a_case() -> None:
    parts = ("pod", "policy", "images", "injected", "reasons")
    known = {case.file(part) for case in CASES for part in parts}
    assert set(FOLDER.rglob("*.yaml")) <= known


def _undone(pod: Any) -> Any:
    """Undo an injection; a pod without one stays what it is."""
    return jsonpatch.apply_patch(pod, restore(pod))


def _holds_objects(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))
