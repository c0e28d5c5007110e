"""A pod's author cannot slow down others: the cost of a pod is limited, and the refusal names the limit."""

from __future__ import annotations

import time
from typing import Any

import pytest

from webhook.core.injection import Injection, inject
from webhook.core.patch.pod_patch import LARGEST_PATCH
from webhook.core.pod import MOST_CONTAINERS
from webhook.core.policy import Policy
from webhook.core.reasons import Kind, Reason
from webhook.core.recognize.shell_script import LONGEST_SCRIPT
from webhook.core.select.pods import MOST_SHELL_TEXT

LONGEST_SECONDS = 1.0
"""Measured: below 0.06 s; the rest is for busy machines. Without the budgets: 4 to 20 s."""
SCRIPT = "work && " * (LONGEST_SCRIPT // 8)


def pod_of(containers: list[dict[str, Any]], **labels: str) -> dict[str, Any]:
    return {"metadata": {"labels": labels}, "spec": {"containers": containers}}


def labelled(containers: list[dict[str, Any]]) -> dict[str, Any]:
    return pod_of(containers, **{"graceful-worker": "enabled"})


def quickly(pod: dict[str, Any]) -> Injection:
    begin = time.process_time()
    injection = inject(pod, Policy())
    assert time.process_time() - begin < LONGEST_SECONDS
    return injection


def strings(count: int) -> list[dict[str, Any]]:
    return [{"name": f"c{n}", "command": ["sh", "-c", f"{SCRIPT}{n}"]} for n in range(count)]


def sidecars(count: int) -> list[dict[str, Any]]:
    return [{"name": "worker", "command": ["celery", "worker"]}, *({"name": f"s{n}"} for n in range(count))]


def twins(count: int) -> list[dict[str, Any]]:
    return [*({"name": f"c{n}"} for n in range(count)), {"name": f"c{count - 1}"}]


@pytest.mark.parametrize(
    ("containers", "reason", "bound"),
    [
        (strings(340), Reason.TOO_MANY_CONTAINERS, MOST_CONTAINERS),
        (strings(200), Reason.SHELL_TEXT_TOO_LONG, MOST_SHELL_TEXT),
        (strings(5), Reason.SHELL_TEXT_TOO_LONG, MOST_SHELL_TEXT),
        (sidecars(9000), Reason.TOO_MANY_CONTAINERS, MOST_CONTAINERS),
        (sidecars(50_000), Reason.TOO_MANY_CONTAINERS, MOST_CONTAINERS),
        (
            [{"name": f"s{n}", "command": ["sleep", "9"]} for n in range(200)],
            Reason.PATCH_TOO_LARGE,
            LARGEST_PATCH,
        ),
    ],
    ids=["scripts", "fewer-scripts", "five-scripts", "9000-sidecars", "50000-sidecars", "parents"],
)
def test_a_pod_that_costs_too_much_is_refused_with_the_bound(
    containers: list[dict[str, Any]], reason: Reason, bound: int
) -> None:
    pod = labelled(containers)
    pod["metadata"]["annotations"] = {"graceful-worker/containers": containers[0]["name"]}
    injection = quickly(pod)
    assert (injection.decision.outcome, injection.decision.reason) == (Kind.REFUSED, reason)
    assert str(bound) in injection.refusal


def again(script: str, times: int, *last: str) -> list[str]:
    return [*["sh", "-c", script, "sh"] * times, *last]


def with_hook(script: str) -> dict[str, Any]:
    return {"command": ["python", "worker.py"], "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", script]}}}}


def with_probe(script: str) -> dict[str, Any]:
    return {"command": ["python", "worker.py"], "livenessProbe": {"exec": {"command": ["sh", "-c", script]}}}


HOSTILE = {
    "image-of-many-parts": {"image": "a/" * 200_000 + "a", "command": ["celery", "worker"]},
    "arguments-run-twice-nested": {"command": again('"$@";"$@"', 40, "true")},
    "arguments-run-once-nested": {"command": again('"$@"', 2000, "true")},
    "many-arguments-run-often": {"command": again('"$@";' * 1600, 1, *["a"] * 20_000)},
    "scripts-of-launchers-nested": {"command": ["su", "-c"] * 20_000},
    "many-launchers": {"command": ["env"] * 200_000},
    "many-words-of-a-framework": {"command": ["x", *["rails"] * 63, *["-a"] * 400_000]},
    "many-words": {"command": ["celery", *["a"] * 500_000]},
    "hook-of-spaces": with_hook(f"kill{' ' * 100_000}x"),
    "hook-of-kills": with_hook("kill " * 50_000),
    "hook-of-pipes": with_hook("xargs " * 50_000),
    "script-of-kills": {"command": ["sh", "-c", "kill A " * 50_000]},
    "probe-of-pids": with_probe("1 pid " + "pid " * 50_000),
}


@pytest.mark.parametrize("container", HOSTILE.values(), ids=HOSTILE)
def test_no_text_of_a_container_costs_more_than_its_length(container: dict[str, Any]) -> None:
    """Each took seconds, or ended in an error: quadratic or exponential steps, and a stack as deep as the shells."""
    assert quickly(labelled([{"name": "worker", **container}])).decision.outcome is Kind.PROTECTED


def test_without_the_label_it_is_left_alone() -> None:
    assert quickly(pod_of(strings(340))).decision.outcome is Kind.LEFT_ALONE


def test_a_pod_that_is_never_touched_is_not_refused_for_its_size() -> None:
    assert quickly(pod_of(strings(340), **{"graceful-worker": "disabled"})).decision.reason is Reason.OPTED_OUT


def test_two_names_alike_among_many_are_found_quickly() -> None:
    assert quickly(labelled(twins(20_000))).decision.reason is Reason.POD_MALFORMED


def test_as_much_shell_text_as_may_be_is_read() -> None:
    pod = labelled(strings(MOST_SHELL_TEXT // LONGEST_SCRIPT))
    pod["metadata"]["annotations"] = {"graceful-worker/containers": "c0"}
    assert quickly(pod).decision.outcome is Kind.PROTECTED


def test_a_pod_with_many_containers_is_protected() -> None:
    assert quickly(labelled(sidecars(100))).decision.outcome is Kind.PROTECTED
