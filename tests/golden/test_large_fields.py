"""Whatever field of a pod is large, and whatever it is full of, its review takes a moment, and no error of ours."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from webhook.core.policy import Policy
from webhook.server.admission_review import read_review, review

CHARACTERS = 200_000
ITEMS = 3_000
LONGEST_SECONDS = 1.0
"""Measured: below 0.05 s; the rest is for busy machines. A quadratic step takes minutes."""
FILLINGS = (
    *(" ", "/", ":", ",", ";", "|", "\n", "'", '"', "\\", "#", "$(", "a.", "-a ", "A=b ", "1 ", "kill ", "celery "),
    *('"$@";', "sh -c ", "while true; do "),
)
POD: dict[str, Any] = {
    "metadata": {
        "generateName": "worker-",
        "labels": {"graceful-worker": "enabled", "app": "shop"},
        "annotations": {
            "graceful-worker/containers": "worker",
            "graceful-worker/grace-period": "90s",
            "graceful-worker/command": '["celery", "worker"]',
            "graceful-worker/stop-signal": "TERM",
            "graceful-worker/status": json.dumps(
                {
                    "version": "0.1.0",
                    "workers": {"worker": {"mode": "signal"}},
                    "added": ["/spec/volumes/graceful-worker"],
                    "before": {"/spec/terminationGracePeriodSeconds": 30},
                }
            ),
            "example.com/note": "text",
        },
    },
    "spec": {
        "terminationGracePeriodSeconds": 30,
        "restartPolicy": "Always",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "runtimeClassName": "runc",
        "priorityClassName": "default",
        "serviceAccountName": "shop",
        "os": {"name": "linux"},
        "imagePullSecrets": [{"name": "registry"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]}
                    ]
                }
            }
        },
        "volumes": [{"name": "data", "emptyDir": {}}],
        "initContainers": [
            {"name": "proxy", "image": "envoy:1", "restartPolicy": "Always", "command": ["envoy"]},
        ],
        "containers": [
            {
                "name": "worker",
                "image": "registry.example.com/shop/worker:1",
                "command": ["sh", "-c", "migrate && exec bundle exec sidekiq -q $(QUEUE)"],
                "args": ["--limit", "2"],
                "env": [{"name": "QUEUE", "value": "mails"}, {"name": "RAILS_ENV", "value": "production"}],
                "ports": [{"containerPort": 80}],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "kill -TSTP 1; sleep 5"]}}},
                "livenessProbe": {"exec": {"command": ["pgrep", "-f", "sidekiq"]}},
                "readinessProbe": {"exec": {"command": ["cat", "/proc/1/comm"]}},
                "securityContext": {"runAsUser": 1, "capabilities": {"drop": ["ALL"], "add": ["KILL"]}},
            },
            {
                "name": "nginx",
                "image": "nginx:1",
                "command": ["nginx", "-g", "daemon off;"],
                "lifecycle": {"preStop": {"exec": {"command": ["nginx", "-s", "quit"]}}},
            },
            {"name": "logs", "image": "busybox", "command": ["tail", "-F", "/log"]},
        ],
    },
}


def fields(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield path, value
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield from fields(value[key], (*path, key))


def grown(value: Any) -> list[Any]:
    """Return large variants of a value."""
    if isinstance(value, str):
        return [value + filling * (CHARACTERS // len(filling)) for filling in (*FILLINGS, value)]
    if isinstance(value, list):
        return [value * ITEMS, [*value, *value[-1:] * 200]]
    if isinstance(value, dict):
        return [value | {f"key-{number}": "x" for number in range(ITEMS)}]
    return []


def with_field(path: tuple[Any, ...], value: Any) -> Any:
    pod: Any = copy.deepcopy(POD)
    *parents, last = path
    part = pod
    for key in parents:
        part = part[key]
    part[last] = value
    return pod


FIELDS = [(path, value) for path, value in fields(POD) if path and grown(value)]


@pytest.mark.parametrize(("path", "value"), FIELDS, ids=["/".join(map(str, path)) for path, _ in FIELDS])
def test_a_large_field_is_reviewed_in_a_moment(path: tuple[Any, ...], value: Any) -> None:
    for large in grown(value):
        request = {"uid": "u", "kind": {"kind": "Pod"}, "operation": "CREATE", "object": with_field(path, large)}
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        text = json.dumps(body).encode()
        begin = time.process_time()
        review(read_review(text), Policy())
        assert time.process_time() - begin < LONGEST_SECONDS
