"""The versions of all programs that the proof runs."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.node.runtime import Container, ContainerSpec
from tests.proof.workers import WORKER_IMAGE, Worker

SECONDS = 60


def versions(workers: Sequence[Worker]) -> list[str]:
    """Return a line for each framework, the runtime, the broker and the shell."""
    lines = [_first_line(["crun", "--version"]), _first_line(["redis-server", "--version"])]
    return [*map(_framework, workers), *lines]


def _framework(worker: Worker) -> str:
    """Return a framework's version, by a command in its own image."""
    with tempfile.TemporaryDirectory(prefix="version-") as directory:
        image = worker.named_images(Path(directory, "images")).get(WORKER_IMAGE, worker.image)
        environment = {**image.environment, **worker.environment}
        folder = Path(directory, "container")
        folder.mkdir()
        spec = ContainerSpec(worker.version, environment, image.mounts, image.working_directory, root=image.root)
        container = Container(folder, spec)
        assert container.wait(SECONDS)
        container.remove()
        return container.log.read_text().strip().splitlines()[0]


def _first_line(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]
