"""How many bytes an injection adds to a pod of each kind: stored in etcd, and sent to every watch and kubelet."""

from __future__ import annotations

import json
from typing import Any

import jsonpatch

from webhook.core.injection import inject
from webhook.core.policy import Policy

Json = dict[str, Any]
WORKER, SYMFONY = ["celery", "-A", "shop", "worker"], ["php", "bin/console", "messenger:consume", "async"]
SIDECAR = {"name": "nginx", "image": "nginx:1.29", "ports": [{"containerPort": 80}]}
OWN_HOOK = {"lifecycle": {"preStop": {"exec": {"command": ["nginx", "-s", "quit"]}}}}


def _worker(*command: str, **fields: Any) -> Json:
    return {"name": "worker", "image": "shop:1", "command": list(command), **fields}


KINDS: dict[str, tuple[Json, ...]] = {
    "signal mode": (_worker(*WORKER),),
    "signal mode, with its own hook": (_worker(*WORKER, **OWN_HOOK),),
    "signal mode, the hook sends the signal": (_worker("rq", "worker"),),
    "signal mode, with a sidecar": (_worker(*WORKER), SIDECAR),
    "loop mode": (_worker(*SYMFONY),),
    "loop mode, with a sidecar": (_worker(*SYMFONY), SIDECAR),
    "loop mode, with a sidecar that has its own hook": (_worker(*SYMFONY), SIDECAR | OWN_HOOK),
    "below a parent": (_worker("python", "worker.py"),),
    "below a parent that looks for the worker": (_worker("sh", "-c", "migrate; celery -A shop worker"),),
    "below a parent, with a sidecar": (_worker("python", "worker.py"), SIDECAR),
}
"""The containers of each kind of pod."""


def measure_added_bytes() -> dict[str, int]:
    """Return the bytes added to each kind of pod, as JSON without spaces, annotations included."""
    return {kind: _added(containers) for kind, containers in KINDS.items()}


def _added(containers: tuple[Json, ...]) -> int:
    labels = {"graceful-worker": "enabled"}
    metadata = {"name": "orders-7c9d8b6f54-x7k2p", "labels": labels, "annotations": {"checksum/configuration": "1"}}
    pod = {"metadata": metadata, "spec": {"containers": list(containers)}}
    operations = json.loads(json.dumps(inject(pod, Policy()).patch))
    return _bytes(jsonpatch.apply_patch(pod, operations)) - _bytes(pod)


def _bytes(pod: Json) -> int:
    return len(json.dumps(pod, separators=(",", ":")))
