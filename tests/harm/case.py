"""Read the cases from their files."""

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
ORIGINAL_GRACE = 4
"""The original pod's grace period in seconds, in place of the usual 30."""
RAISED_GRACE = 14
"""The grace period in seconds to which the product raises it, in place of the usual 3600."""
RELEASE = 1.0
"""Seconds after the deletion at which the current message ends, if the worker has received a signal by then."""
RELEASE_DEADLINE = 2.5
"""Seconds after the deletion at which it ends in any case; on a busy machine, a hook may take so long to run."""
LABEL = "graceful-worker"


@dataclass(frozen=True)
class Expectation:
    """What the patched pod has to do, beyond being no worse than the bare one.

    `finishes`: no message is cut. `within`: seconds to the end of the pod from the end of the last message, or from the
    deletion if no message ends after it. `first_process`: process 1 is the same.
    `always` and `never`: the journal has, or does not have, lines that begin so. `at_most`: how often it has a line.
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

    `worker` and `sidecar` are the contents of the containers of these names, `pod` is the content of the pod's spec,
    `annotations` are those of the product, without its prefix. `stop_signal` is the image's. `ready` are the lines of
    the journal for which the deletion waits, and `settle` the seconds after these; `release` is the time after the
    deletion at which the current messages end, `quick` the number of short messages before the current one. `proc` says
    what /proc lacks: see restricted_proc.py. `needs` are programs without which the case is skipped. `unfit` gives, by
    the name of a column, the reason why it is not compared.
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
        """Whether the bare pod may behave differently with another shell."""
        return runs_a_shell(_words([self.worker, self.sidecar]))

    def manifest(self, journal: Path) -> Json:
        """Return the user's pod, with the journal at /journal."""
        mount = {"name": "journal", "mountPath": "/journal"}
        containers = [{"name": "worker", "image": "worker", **self.worker}]
        if self.sidecar:
            containers.append({"name": "sidecar", "image": "sidecar", **self.sidecar})
        spec = {
            "terminationGracePeriodSeconds": ORIGINAL_GRACE,
            "restartPolicy": "Never" if self.job else "Always",
            **self.pod,
            "containers": [{**c, "volumeMounts": [mount, *c.get("volumeMounts", ())]} for c in containers],
            "volumes": [{"name": "journal", "hostPath": {"path": str(journal)}}, *self.pod.get("volumes", ())],
        }
        annotations = {"grace-period": str(RAISED_GRACE), **self.annotations}
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
        TypeError: the file has an unknown field.

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
    """Read all cases, sorted by name."""
    return [load_case(path) for path in sorted(FOLDER.glob("*.yaml"))]
