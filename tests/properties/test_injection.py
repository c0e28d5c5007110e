"""Every pod, injected once, twice, with another webhook in between, and undone."""

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


def injected(pod: Any, policy: Policy) -> tuple[Injection, Any]:
    """Inject a pod, and check what must hold of every answer."""
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


def protected(pod: JsonObject, policy: Policy) -> tuple[Injection, JsonObject]:
    """Inject a pod that is going to be protected; others are no example of what is tested."""
    injection, after = injected(pod, policy)
    assume(injection.decision.reason is Reason.INJECTED)
    return injection, after


def undone(pod: JsonObject) -> Any:
    return jsonpatch.apply_patch(pod, restore(pod))


@given(pods(bad=True), policies)
def test_every_pod_gets_an_answer(pod: JsonObject, policy: Policy) -> None:
    injected(pod, policy)


@given(pods(), policies)
def test_protected_pods_are_what_they_are_meant_to_be(pod: JsonObject, policy: Policy) -> None:
    _, after = protected(pod, policy)
    check(pod, after, policy)


@given(pods(), policies)
def test_second_pass_changes_nothing(pod: JsonObject, policy: Policy) -> None:
    first, after = protected(pod, policy)
    second, same = injected(after, policy)
    assert same == after
    assert second.decision.reason is Reason.UNCHANGED
    assert second.warnings == first.warnings


@given(pods(), policies)
def test_undoing_gives_the_pod_back(pod: JsonObject, policy: Policy) -> None:
    _, after = protected(pod, policy)
    assert undone(after) == pod


@given(st.data(), pods(), policies)
def test_container_added_in_between_gets_what_it_lacks(data: st.DataObject, pod: JsonObject, policy: Policy) -> None:
    _, after = protected(pod, policy)
    added = data.draw(added_later)
    position = data.draw(st.integers(0, len(pod["spec"]["containers"])))
    between, before = deepcopy(after), deepcopy(pod)
    for changed in (between, before):
        changed["spec"]["containers"].insert(position, deepcopy(added))

    second, complete = injected(between, policy)
    assert second.decision.outcome is Kind.PROTECTED
    check(before, complete, policy)
    third, same = injected(complete, policy)
    assert same == complete
    assert third.decision.reason is Reason.UNCHANGED
    assert in_any_order(undone(complete)) == in_any_order(before)


def in_any_order(pod: JsonObject) -> JsonObject:
    """Ignore the order of the containers: that of those that were moved away is not known."""
    spec = pod["spec"]
    return {**pod, "spec": {**spec, "containers": sorted(spec["containers"], key=lambda container: container["name"])}}


@given(pods(), policies, st.sampled_from([["/vault/vault-env"], ["/tool", "--"], ["sh", "-c", 'exec "$@"', "x"]]))
def test_command_wrapped_in_between_is_not_wrapped_again(pod: JsonObject, policy: Policy, tool: list[str]) -> None:
    first, after = protected(pod, policy)
    workers = {worker.name for worker in first.decision.plan.workers} if first.decision.plan else set()
    for container in after["spec"]["containers"]:
        if container["name"] in workers and is_wrapped(container.get("command") or ()):
            container["args"] = [*container["command"], *(container.get("args") or ())]
            container["command"] = tool
    second, same = injected(after, policy)
    assert same == after
    assert second.warnings == first.warnings


@given(pods(), policies)
def test_undoing_leaves_alone_what_others_have_added(pod: JsonObject, policy: Policy) -> None:
    _, after = protected(pod, policy)
    after["metadata"]["labels"]["added-later"] = ""
    after["metadata"]["annotations"]["added-later"] = ""
    after["spec"]["containers"][0].setdefault("lifecycle", {})
    rest = undone(after)
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
    _, after = protected(pod, policy)
    assert faults(after, release) == []
    assert faults(undone(after), release) == []


def test_pod_of_two_hundred_containers() -> None:
    sidecars = [{"name": f"sidecar-{number}", "livenessProbe": {"tcpSocket": {"port": 1}}} for number in range(199)]
    pod = {"spec": {"containers": [*sidecars, {"name": "worker", "command": ["celery", "worker"]}]}}
    _, after = injected(pod, Policy())
    check(pod, after, Policy())
    assert injected(after, Policy())[0].patch == []
    assert undone(after) == pod
