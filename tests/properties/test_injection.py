"""Every pod: injected once, twice, with another webhook in between, and restored."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonpatch
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.golden.schemas import RELEASES, faults
from webhook.core.annotations import STATUS_ANNOTATION
from webhook.core.injection import Injection, inject
from webhook.core.pod import JsonObject
from webhook.core.policy import Policy, ShellSource
from webhook.core.reasons import Kind, Reason
from webhook.core.uninject import restore
from webhook.core.warnings import WARNING_LENGTH
from webhook.core.wrapper import is_wrapped

from .meaning import annotations_of, check
from .pods import added_later, mounts_of, pods, policies

LONGEST_REFUSAL = 2000


def inject_and_check(pod: Any, policy: Policy) -> tuple[Injection, Any]:
    """Inject a pod, and check what must hold for every result."""
    before = deepcopy(pod)
    injection = inject(pod, policy)
    assert pod == before
    assert all(len(warning) <= WARNING_LENGTH for warning in injection.warnings)
    assert len(injection.refusal) < LONGEST_REFUSAL
    outcome = injection.decision.outcome
    assert outcome in (Kind.PROTECTED, Kind.LEFT_ALONE, Kind.REFUSED)
    assert bool(injection.refusal) == (outcome is Kind.REFUSED)
    assert bool(injection.patch) == (injection.decision.reason is Reason.INJECTED)
    return injection, jsonpatch.apply_patch(pod, injection.patch)


def inject_protected(pod: JsonObject, policy: Policy) -> tuple[Injection, JsonObject]:
    """Inject a pod that gets protected; discard all other examples."""
    injection, after = inject_and_check(pod, policy)
    assume(injection.decision.reason is Reason.INJECTED)
    return injection, after


def remove_injection(pod: JsonObject) -> Any:
    return jsonpatch.apply_patch(pod, restore(pod))


@given(pods(bad=True), policies)
def test_every_pod_gets_a_decision(pod: JsonObject, policy: Policy) -> None:
    inject_and_check(pod, policy)


@given(pods(), policies)
def test_protected_pods_meet_the_specification(pod: JsonObject, policy: Policy) -> None:
    _, after = inject_protected(pod, policy)
    check(pod, after, policy)


@given(pods(), policies)
def test_a_second_pass_changes_nothing(pod: JsonObject, policy: Policy) -> None:
    first, after = inject_protected(pod, policy)
    second, same = inject_and_check(after, policy)
    assert same == after
    assert second.decision.reason is Reason.UNCHANGED
    assert second.warnings == first.warnings


@given(pods(), policies)
def test_uninject_restores_the_original_pod(pod: JsonObject, policy: Policy) -> None:
    _, after = inject_protected(pod, policy)
    assert remove_injection(after) == pod


@given(st.data(), pods(), policies)
def test_a_second_pass_completes_a_container_that_was_added_after_the_first(
    data: st.DataObject, pod: JsonObject, policy: Policy
) -> None:
    _, after = inject_protected(pod, policy)
    added = data.draw(added_later)
    position = data.draw(st.integers(0, len(pod["spec"]["containers"])))
    between, before = deepcopy(after), deepcopy(pod)
    for changed in (between, before):
        changed["spec"]["containers"].insert(position, deepcopy(added))

    second, complete = inject_and_check(between, policy)
    assert second.decision.outcome is Kind.PROTECTED
    check(before, complete, policy)
    third, same = inject_and_check(complete, policy)
    assert same == complete
    assert third.decision.reason is Reason.UNCHANGED
    assert in_any_order(remove_injection(complete)) == in_any_order(before)


def in_any_order(pod: JsonObject) -> JsonObject:
    """Ignore the order of the containers, because the order of moved ones is not known."""
    spec = pod["spec"]
    return {**pod, "spec": {**spec, "containers": sorted(spec["containers"], key=lambda container: container["name"])}}


@given(pods(), policies, st.sampled_from([["/vault/vault-env"], ["/tool", "--"], ["sh", "-c", 'exec "$@"', "x"]]))
def test_a_command_that_was_wrapped_by_others_after_the_first_pass_is_not_wrapped_again(
    pod: JsonObject, policy: Policy, tool: list[str]
) -> None:
    first, after = inject_protected(pod, policy)
    workers = {worker.name for worker in first.decision.plan.workers} if first.decision.plan else set()
    for container in after["spec"]["containers"]:
        if container["name"] in workers and is_wrapped(container.get("command") or ()):
            container["args"] = [*container["command"], *(container.get("args") or ())]
            container["command"] = tool
    second, same = inject_and_check(after, policy)
    assert same == after
    assert second.warnings == first.warnings


@given(pods(), policies)
def test_uninject_keeps_what_others_have_added(pod: JsonObject, policy: Policy) -> None:
    _, after = inject_protected(pod, policy)
    after["metadata"]["labels"]["added-later"] = ""
    after["metadata"]["annotations"]["added-later"] = ""
    after["spec"]["containers"][0].setdefault("lifecycle", {})
    rest = remove_injection(after)
    assert rest["metadata"]["labels"]["added-later"] == ""
    assert rest["metadata"]["annotations"]["added-later"] == ""
    assert STATUS_ANNOTATION not in annotations_of(rest)
    again = [mounts_of(container) for container in pod["spec"]["containers"]]
    assert [mounts_of(container) for container in rest["spec"]["containers"]] == again


@given(pods(odd=False), policies)
@pytest.mark.parametrize("release", RELEASES)
def test_valid_pods_stay_valid(release: str, pod: JsonObject, policy: Policy) -> None:
    assume(not faults(pod, release))
    # The oldest release has no image volumes.
    assume(policy.shell_source is not ShellSource.IMAGE_VOLUME or release != RELEASES[0])
    _, after = inject_protected(pod, policy)
    assert faults(after, release) == []
    assert faults(remove_injection(after), release) == []


def test_a_pod_of_two_hundred_containers_is_injected_and_restored() -> None:
    sidecars = [{"name": f"sidecar-{number}", "livenessProbe": {"tcpSocket": {"port": 1}}} for number in range(199)]
    pod = {"spec": {"containers": [*sidecars, {"name": "worker", "command": ["celery", "worker"]}]}}
    _, after = inject_and_check(pod, Policy())
    check(pod, after, Policy())
    assert inject_and_check(after, Policy())[0].patch == []
    assert remove_injection(after) == pod
