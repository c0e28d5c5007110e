"""A node for each test, and short builders of pods."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.node.kubelet import RunningPod
from tests.node.node import Node
from tests.node.runtime import Image, refusal
from tests.node.specification import Json

IMAGE = Image(environment={"PATH": "/usr/local/bin:/usr/bin:/bin"})
BACK_OFF = 0.4
"""The back-off in seconds, in place of the kubelet's 10."""

Shell = Callable[..., Json]


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a folder that is accessible to every user."""
    with tempfile.TemporaryDirectory(prefix="node-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def node(directory: Path) -> Iterator[Node]:
    if refusal():
        pytest.skip(refusal())
    node = Node(directory / "pods", IMAGE, {"REDIS_SERVICE_HOST": "10.0.0.1"}, BACK_OFF)
    yield node
    node.close()


def shell(script: str, name: str = "main", **fields: object) -> Json:
    """Return a container that runs a shell script, with the pod's volume at /shared."""
    mounts = [{"name": "shared", "mountPath": "/shared"}]
    return {"name": name, "command": ["/bin/sh", "-c", script], "volumeMounts": mounts, **fields}


def pod(*containers: Json, grace: int = 10, **spec: object) -> Json:
    """Return a pod in the form in which the API server stores it."""
    volumes = [{"name": "shared", "emptyDir": {}}]
    fields = {"containers": list(containers), "volumes": volumes, "terminationGracePeriodSeconds": grace, **spec}
    return {"metadata": {"name": "pod-1"}, "spec": fields}


def hook(script: str) -> Json:
    """Return a preStop hook that runs a shell script."""
    return {"preStop": {"exec": {"command": ["/bin/sh", "-c", script]}}}


def output(running: RunningPod, container: str = "main") -> str:
    """Return the output of the container's last instance."""
    instance = running.state(container).instance
    assert instance
    return instance.log.read_text()


def seconds_of_event(running: RunningPod, what: str, container: str = "main") -> float:
    """Return the time of the first such event of a container, in seconds."""
    return next(e.when for e in running.events if e.container == container and e.what.startswith(what)) / 1e9
