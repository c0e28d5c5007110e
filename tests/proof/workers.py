"""The workers of the proof: a folder each, with its code and worker.toml; and the Deployment that runs one."""

from __future__ import annotations

import copy
import os
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.node.runtime import Image, Mount
from tests.node.specification import Json

FOLDER = Path(__file__).with_name("workers")
SHARED = FOLDER / "shared"
MANIFEST = Path(__file__).with_name("deployment.yaml")
INSTALLED = Path(__file__).parent.parent.parent / ".local" / "proof"
"""Where `make proof-workers` puts the frameworks: `python` and `arq` (virtual environments), `node_modules`."""


@dataclass(frozen=True)
class Worker:
    """What worker.toml says.

    `command` is what the framework's own documentation recommends, unchanged; `slots` is how many jobs one pod handles
    at once; `idle_seconds` is how long an idle run lasts that ends by itself.
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
    """The command inside the loop that the article writes by hand, where that is another one."""
    annotations: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    @property
    def image(self) -> Image:
        """The worker's image: this machine's programs, the frameworks, and the worker's code."""
        mounts = [
            Mount(self.folder, "/app", read_only=True),
            Mount(SHARED, "/shared", read_only=True),
            Mount(INSTALLED, "/proof", read_only=True),
            # The programs of a virtual environment name its path.
            Mount(INSTALLED, str(INSTALLED), read_only=True),
        ]
        path = f"{INSTALLED}/python/bin:{INSTALLED}/arq/bin:{Path(sys.base_prefix, 'bin')}:/usr/local/bin:/usr/bin:/bin"
        environment = {"PATH": path, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
        return Image(tuple(mounts), environment, "/app")

    def deployment(self, ledger: Path) -> Json:
        """Return the Deployment for this worker, as somebody would write it."""
        manifest: Json = copy.deepcopy(YAML(typ="safe").load(MANIFEST))
        template = manifest["spec"]["template"]
        template["metadata"]["annotations"] = dict(self.annotations)
        worker = template["spec"]["containers"][0]
        worker["command"] = list(self.command)
        worker["env"] += [{"name": name, "value": value} for name, value in self.environment.items()]
        template["spec"]["volumes"][0]["hostPath"]["path"] = str(ledger)
        return manifest

    def missing(self) -> str:
        """Say what this worker lacks on this machine; empty where it can run."""
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
    """Read all of them, in the order of their names."""
    return [load_worker(file.parent.name) for file in sorted(FOLDER.glob("*/worker.toml"))]
