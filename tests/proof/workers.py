"""Read the proof's workers, each from a folder with code and worker.toml, and make the Deployment that runs one."""

from __future__ import annotations

import copy
import os
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.node.images import busybox_image, busybox_refusal, compiler_refusal, static_image
from tests.node.runtime import Image, Mount
from tests.node.specification import Json
from webhook.core.policy import DEFAULT_SHELL_IMAGE

FOLDER = Path(__file__).with_name("workers")
SHARED = FOLDER / "shared"
MANIFEST = Path(__file__).with_name("deployment.yaml")
INSTALLED = Path(__file__).parent.parent.parent / ".local" / "proof"
"""The folder into which `make proof-workers` installs the frameworks: virtual environments `python` and `arq`, and
`node_modules`."""

WORKER_IMAGE = "worker"
"""The name of the worker's image in MANIFEST."""
SHELL_PROGRAMS = ("sh", "mkdir", "rm", "sleep")
"""The programs that the scripts call if the image of the shell is mounted; an init container needs none of these."""


@dataclass(frozen=True)
class Worker:
    """The content of worker.toml.

    `command` is what the framework's own documentation recommends, unchanged; `slots` is how many jobs one pod handles
    at once; `idle_seconds` is how long an idle run takes that ends by itself. `code_of` names the worker whose code
    this one runs. `source` is a C file; the worker's image contains only the static program that is built from it.
    """

    name: str
    title: str
    documentation: str
    command: list[str]
    slots: int
    send: list[str]
    version: list[str]
    idle_seconds: float = 0
    by_hand: list[str] = field(default_factory=list)
    """The command inside the article's hand-written loop, if it is different."""
    annotations: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    code_of: str = ""
    source: str = ""
    healthy: list[str] = field(default_factory=lambda: ["test", "!", "-e", "/tmp/hung"])
    """The command of the liveness probe."""
    hang: list[str] = field(default_factory=lambda: ["touch", "/tmp/hung"])
    """The command after which the liveness probe fails, until the container is started again."""
    security: Json = field(default_factory=dict)
    """The securityContext of the worker's container."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Scenarios that make no sense for this worker, and why."""
    left_out_unpatched: str = ""
    """Why the unpatched pod is not run; empty if it is."""

    @property
    def folder(self) -> Path:
        return FOLDER / (self.code_of or self.name)

    @property
    def image(self) -> Image:
        """The image of all containers: this machine's programs, the frameworks, and the worker's code."""
        mounts = [
            Mount(self.folder, "/app", read_only=True),
            Mount(SHARED, "/shared", read_only=True),
            Mount(INSTALLED, "/proof", read_only=True),
            # The programs of a virtual environment contain its path.
            Mount(INSTALLED, str(INSTALLED), read_only=True),
        ]
        path = f"{INSTALLED}/python/bin:{INSTALLED}/arq/bin:{Path(sys.base_prefix, 'bin')}:/usr/local/bin:/usr/bin:/bin"
        environment = {"PATH": path, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
        return Image(tuple(mounts), environment, "/app")

    def named_images(self, directory: Path) -> dict[str, Image]:
        """Make the minimal images in a folder; return them by name."""
        if not self.source:
            return {}
        return {
            WORKER_IMAGE: static_image(directory / "worker", self.folder / self.source, self.command[0]),
            DEFAULT_SHELL_IMAGE: busybox_image(directory / "shell", SHELL_PROGRAMS),
        }

    def runs(self, scenario: str, *, protected: bool) -> bool:
        """Return whether a cell of the matrix makes sense for this worker."""
        return scenario not in self.left_out and (protected or not self.left_out_unpatched)

    def deployment(self, ledger: Path) -> Json:
        """Return a user's Deployment for this worker."""
        manifest: Json = copy.deepcopy(YAML(typ="safe").load(MANIFEST))
        template = manifest["spec"]["template"]
        template["metadata"]["annotations"] = dict(self.annotations)
        worker = template["spec"]["containers"][0]
        worker["command"] = list(self.command)
        worker["livenessProbe"]["exec"]["command"] = list(self.healthy)
        if self.security:
            worker["securityContext"] = dict(self.security)
        worker["env"] += [{"name": name, "value": value} for name, value in self.environment.items()]
        template["spec"]["volumes"][0]["hostPath"]["path"] = str(ledger)
        return manifest

    def missing(self) -> str:
        """Return what this worker lacks on this machine; empty if it can run."""
        if self.source:
            return compiler_refusal() or busybox_refusal()
        program = self.command[0]
        path = self.image.environment["PATH"]
        if not any(os.access(Path(folder, program), os.X_OK) for folder in path.split(":")):
            return f"{program} is not installed: see CONTRIBUTING.md, the proof"
        return ""


def load_worker(name: str) -> Worker:
    """Read a worker's folder."""
    data: dict[str, Any] = tomllib.loads((FOLDER / name / "worker.toml").read_text())
    return Worker(name=name, **data)


def all_workers() -> list[Worker]:
    """Read all workers, sorted by name."""
    return [load_worker(file.parent.name) for file in sorted(FOLDER.glob("*/worker.toml"))]
