"""Verdicts that are remembered are those that would be reached anew, for every golden pod and its twins."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from webhook.core.policy import Policy
from webhook.server.admission_review import Request, read_review, review
from webhook.server.decision_cache import MAX_ENTRIES, MAX_ENTRY_BYTES, DecisionCache

from .cases import Case, all_cases

CASES = [case for case in all_cases() if isinstance(case.pod, dict)]
KNOWING_ALL = DecisionCache(Policy())
"""One for all cases, so that a pod which is taken for another one gets a wrong verdict here."""


def request_of(pod: Any, operation: str = "CREATE") -> Request:
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    request = {"uid": "1", "kind": kind, "operation": operation, "object": pod}
    return read_review(
        json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()
    )


def twin(pod: Any, number: int) -> Any:
    """Return a pod of the same template: its own name, and its own volume for the account's token."""
    pod = deepcopy(pod)
    if not isinstance(pod, dict) or not isinstance(pod.get("metadata"), dict | None) or "spec" not in pod:
        return pod
    name = f"kube-api-access-{number}"
    pod["metadata"] = {**(pod.get("metadata") or {}), "name": f"pod-{number}", "generateName": "pod-"}
    volumes = pod["spec"].get("volumes")
    pod["spec"]["volumes"] = [*(volumes or ()), {"name": name, "projected": {}}]
    for container in pod["spec"]["containers"]:
        mount = {"name": name, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]
    return pod


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("time", ["first", "second"])
def test_a_remembered_verdict_is_the_one_that_would_be_reached_anew(case: Case, time: str) -> None:
    assert KNOWING_ALL.decide(request_of(case.pod)) == review(request_of(case.pod), Policy())


@pytest.mark.parametrize("case", [case for case in CASES if case.expected_pod is not None], ids=str)
def test_a_twin_of_a_pod_gets_the_verdict_that_it_would_get_by_itself(case: Case) -> None:
    verdicts = DecisionCache(Policy())
    verdicts.decide(request_of(twin(case.pod, 1)))
    other = twin(case.pod, 2)
    assert verdicts.decide(request_of(other)) == review(request_of(other), Policy())


def next_release(pod: Any) -> Any:
    """Return a pod as its next release has it: other versions of its images, checksums and labels of others."""
    pod = deepcopy(pod)
    metadata = pod["metadata"] = pod.get("metadata") or {}
    metadata["labels"] = {**(metadata.get("labels") or {}), "app.kubernetes.io/version": "2.0.0"}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), "checksum/configuration": "22"}
    for container in (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())):
        container["image"] = f"{(container.get('image') or 'shop').partition('@')[0]}-2.0.0"
    return pod


@pytest.mark.parametrize("case", [case for case in CASES if case.expected_pod is not None], ids=str)
def test_the_next_release_of_a_pod_gets_the_verdict_that_it_would_get_by_itself(case: Case) -> None:
    released = next_release(case.pod)
    assert KNOWING_ALL.decide(request_of(released)) == review(request_of(released), Policy())


def a_release(tag: str, checksum: str, **annotations: str) -> Request:
    labels = {"graceful-worker": "enabled", "version": tag}
    metadata = {"labels": labels, "annotations": {"checksum/configuration": checksum, **annotations}}
    container = {"name": "worker", "image": f"shop:{tag}", "command": ["celery", "worker"]}
    return request_of({"metadata": metadata, "spec": {"containers": [container]}})


def test_releases_that_differ_in_nothing_that_decides_have_one_verdict() -> None:
    verdicts = DecisionCache(Policy())
    assert verdicts.decide(a_release("1.0", "aa")) is verdicts.decide(a_release("1.1", "bb"))


@pytest.mark.parametrize(
    "other", [a_release("1.0-distroless", "aa"), a_release("1.0", "aa" * 131072), a_release("1.0", "aa", spare="")]
)
def test_what_decides_in_a_release_tells_it_from_the_one_before(other: Request) -> None:
    """The image says that it has no shell; the annotations leave less room, or none."""
    verdicts = DecisionCache(Policy())
    first = verdicts.decide(a_release("1.0", "aa"))
    assert verdicts.decide(other) is not first
    assert verdicts.decide(other) == review(other, Policy())


def test_a_pod_that_is_not_created_is_not_taken_for_one_that_is() -> None:
    verdicts = DecisionCache(Policy())
    pod = {"spec": {"containers": [{"name": "worker", "command": ["celery", "worker"]}]}}
    verdicts.decide(request_of(pod))
    assert verdicts.decide(request_of(pod, "UPDATE")) == review(request_of(pod, "UPDATE"), Policy())


def test_what_is_remembered_is_bounded_in_number() -> None:
    verdicts = DecisionCache(Policy())
    for number in range(MAX_ENTRIES + 10):
        verdicts.decide(
            request_of({"spec": {"containers": [{"name": f"worker-{number}", "command": ["celery", "worker"]}]}})
        )
    assert len(verdicts) == MAX_ENTRIES


def test_a_large_pod_is_not_remembered() -> None:
    verdicts = DecisionCache(Policy())
    pod = {"spec": {"containers": [{"name": "worker", "command": ["celery", "worker", "x" * MAX_ENTRY_BYTES]}]}}
    for _ in range(2):
        assert verdicts.decide(request_of(pod)) == review(request_of(pod), Policy())
    assert len(verdicts) == 0


def test_a_pod_that_is_asked_for_again_and_again_stays_remembered() -> None:
    verdicts = DecisionCache(Policy())
    often = {"spec": {"containers": [{"name": "often", "command": ["celery", "worker"]}]}}
    first = verdicts.decide(request_of(often))
    for number in range(2 * MAX_ENTRIES):
        container = {"name": f"worker-{number}", "command": ["celery", "worker"]}
        verdicts.decide(request_of({"spec": {"containers": [container]}}))
        assert verdicts.decide(request_of(often)) is first


def with_variable(name: str, value: str) -> Request:
    container = {"name": "worker", "command": ["celery", "worker"], "env": [{"name": name, "value": value}]}
    return request_of({"spec": {"containers": [container]}})


def test_a_variable_that_nobody_reads_is_not_kept_with_the_verdict() -> None:
    """Its value may be a secret; and pods that differ in it alone are alike."""
    verdicts = DecisionCache(Policy())
    first = verdicts.decide(with_variable("DATABASE_URL", "one"))
    assert verdicts.decide(with_variable("DATABASE_URL", "another")) is first


def test_a_variable_that_decides_tells_pods_apart() -> None:
    verdicts = DecisionCache(Policy())
    verdicts.decide(with_variable("DATABASE_URL", "SIGQUIT"))
    other = verdicts.decide(with_variable("REMAP_SIGTERM", "SIGQUIT"))
    assert other == review(with_variable("REMAP_SIGTERM", "SIGQUIT"), Policy())
    assert other != review(with_variable("DATABASE_URL", "SIGQUIT"), Policy())
