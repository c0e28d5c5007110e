"""The manifests as `kubectl kustomize` renders them, which is what `kubectl apply -k` sends."""

from __future__ import annotations

import os
import shutil
import subprocess
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
COMPONENTS = sorted(folder.name for folder in (DEPLOY / "components").iterdir())
OVERLAYS = {folder.name: folder for folder in sorted((DEPLOY / "overlays").iterdir())}
INSTALLATIONS = {"default": DEPLOY, **OVERLAYS}
"""Everything that can be applied, by name."""
ASSETS = Path(os.environ.get("KUBEBUILDER_ASSETS", "/usr/local/kubebuilder/bin"))
NAME = "graceful-worker"
"""The name of the installation: that of its namespace and of most objects."""

Manifest = dict[str, Any]
every_installation = pytest.mark.parametrize("installation", INSTALLATIONS)


def kubectl() -> str:
    """Return a kubectl, or skip the test."""
    program = shutil.which("kubectl") or shutil.which("kubectl", path=ASSETS)
    if program is None:
        pytest.skip(f"no kubectl in PATH or {ASSETS} (Debian: kubernetes-client; KUBEBUILDER_ASSETS names the folder)")
    return program


@cache
def _rendered(folder: Path) -> list[Manifest]:
    result = subprocess.run([kubectl(), "kustomize", str(folder)], text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    return list(YAML(typ="safe").load_all(result.stdout))


def render(folder: Path) -> list[Manifest]:
    """Render a folder; each call returns objects of its own."""
    return deepcopy(_rendered(folder))


def installed(installation: str) -> list[Manifest]:
    return render(INSTALLATIONS[installation])


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def only(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """Return the one of a kind, or of a kind and a name."""
    (manifest,) = (each for each in of_kind(manifests, kind) if name in ("", each["metadata"]["name"]))
    return manifest
