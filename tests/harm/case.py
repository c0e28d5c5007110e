"""Reads the cases from their files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.builders import owner_reference, pod
from tests.harm.images import SHELLS, runs_a_shell
from tests.node.specification import Json

FOLDER = Path(__file__).with_name("cases")
OLD_GRACE = 4
"""Seconds that the pod asks for, in place of the usual 30."""
NEW_GRACE = 14
"""Seconds to which the product is asked to raise it, in place of the usual 3600."""
RELEASE = 1.0
"""Seconds after the deletion at which the message in hand ends, if the worker has heard of its end by then."""
RELEASE_DEADLINE = 2.5
"""Seconds after the deletion at which it ends all the same: a busy machine may need so long to run a hook."""
LABEL = "graceful-worker"


@dataclass(frozen=True)
class Expectation:
    """What the patched pod has to do, beyond being no worse than the bare one.

    `finishes`: no message is cut. `within`: seconds from the last message's end, or the deletion where none ends after
    it, to the pod's. `first_process`: process 1 is what it was.
    `always` and `never`: beginnings of lines that the journal has, and has not. `at_most`: how often it has a line.
    `sidecar_within`: seconds from the worker's end to the sidecar's. `restart_within`: from a failed liveness probe to
    the next start of the container.
    """

    finishes: bool = False
    within: float | None = None
    first_process: bool = False
    always: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    at_most: dict[str, int] = field(default_factory=dict)
    sidecar_within: float | None = None
    restart_within: float | None = None


@dataclass(frozen=True)
class Case:
    """One kind of worker, and how its pod is ended.

    `worker` and `sidecar` are what stands in the containers of these names, `pod` what stands in the pod's spec,
    `annotations` are those of the product, without its prefix. `stop_signal` is the image's. `ready` are the lines of
    the journal for which the deletion waits, and `settle` the seconds after these; `release` is the time after the
    deletion when the messages in hand end, `quick` the number of messages before the one that is in hand. `proc` says
    what /proc lacks: see restricted_proc.py. `needs` are programs without which the case is skipped. `unfit` says why a
    column is not compared, by its name.
    """

    name: str
    title: str
    worker: Json
    sidecar: Json = field(default_factory=dict)
    pod: Json = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    job: bool = False
    scenario: str = "deletion"
    shells: tuple[str, ...] = SHELLS
    stop_signal: str = ""
    ready: tuple[str, ...] = ("begin",)
    settle: float = 0.1
    release: float = RELEASE
    quick: int = 0
    proc: str = ""
    needs: tuple[str, ...] = ()
    unfit: dict[str, str] = field(default_factory=dict)
    expect: Expectation = field(default_factory=Expectation)

    @property
    def runs_a_shell(self) -> bool:
        """Whether the bare pod may behave otherwise under another shell."""
        return runs_a_shell(_words([self.worker, self.sidecar]))

    def manifest(self, journal: Path) -> Json:
        """Return the pod as a user would write it, with the journal at /journal."""
        mount = {"name": "journal", "mountPath": "/journal"}
        containers = [{"name": "worker", "image": "worker", **self.worker}]
        if self.sidecar:
            containers.append({"name": "sidecar", "image": "sidecar", **self.sidecar})
        spec = {
            "terminationGracePeriodSeconds": OLD_GRACE,
            "restartPolicy": "Never" if self.job else "Always",
            **self.pod,
            "containers": [{**c, "volumeMounts": [mount, *c.get("volumeMounts", ())]} for c in containers],
            "volumes": [{"name": "journal", "hostPath": {"path": str(journal)}}, *self.pod.get("volumes", ())],
        }
        annotations = {"grace-period": str(NEW_GRACE), **self.annotations}
        kind, api_version = ("Job", "batch/v1") if self.job else ("ReplicaSet", "apps/v1")
        return pod(
            "worker",
            labels={LABEL: "enabled"},
            annotations={f"{LABEL}/{name}": value for name, value in annotations.items()},
            metadata={"ownerReferences": [owner_reference(kind, "worker", api_version=api_version)]},
            **spec,
        )


def _words(data: Any) -> Iterator[str]:
    """Return all words of commands and hooks."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, list):
        for item in data:
            yield from _words(item)
    elif isinstance(data, dict):
        for item in data.values():
            yield from _words(item)


def load_case(path: Path) -> Case:
    """Read a case's file.

    Raises:
        TypeError: it has a field that no case has.

    """
    data: dict[str, Any] = YAML(typ="safe").load(path)
    expect = data.pop("expect", {})
    for name in ("always", "never"):
        expect[name] = tuple(expect.get(name, ()))
    for name in ("shells", "needs", "ready"):
        if name in data:
            data[name] = tuple(data[name])
    return Case(name=path.stem, expect=Expectation(**expect), **data)


def all_cases() -> list[Case]:
    """Read all of them, in the order of their names."""
    return [load_case(path) for path in sorted(FOLDER.glob("*.yaml"))]
