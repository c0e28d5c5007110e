"""What a pod gets more stays small: bytes in a pod are bytes in etcd, in every watch, and in every kubelet."""

from __future__ import annotations

import json
from typing import Any

import jsonpatch
import pytest

from webhook.core.injection import inject
from webhook.core.policy import Policy

CELERY = {"name": "worker", "command": ["celery", "-A", "shop", "worker"]}
SYMFONY = {"name": "worker", "command": ["php", "bin/console", "messenger:consume", "async"]}
NGINX = {"name": "nginx", "image": "nginx:1.29"}


@pytest.mark.parametrize(
    ("containers", "most"), [([CELERY], 2500), ([SYMFONY, NGINX], 8000)], ids=["celery", "symfony-and-nginx"]
)
def test_a_pod_gets_a_few_kilobytes_more_at_most(containers: list[dict[str, Any]], most: int) -> None:
    pod = {"metadata": {"labels": {"graceful-worker": "enabled"}}, "spec": {"containers": containers}}
    operations = json.loads(json.dumps(inject(pod, Policy()).patch))
    patched = jsonpatch.apply_patch(pod, operations)
    assert _size(patched) - _size(pod) <= most


def _size(pod: object) -> int:
    return len(json.dumps(pod, separators=(",", ":")))
