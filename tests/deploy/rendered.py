"""The manifests as `kubectl kustomize` renders them, which is what `kubectl apply -k` sends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from tests.golden.schemas import OLDEST, RELEASES

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
COMPONENTS = sorted(folder.name for folder in (DEPLOY / "components").iterdir())
OVERLAYS = {folder.name: folder for folder in sorted((DEPLOY / "overlays").iterdir())}
INSTALLATIONS = {"default": DEPLOY, **OVERLAYS}
"""Everything that can be applied, by name."""
FIRST_RELEASES = {"eviction-policy": "1.36.0"}
"""The first Kubernetes that has all kinds of an overlay, where it is not the oldest that is supported."""
ASSETS = Path(os.environ.get("KUBEBUILDER_ASSETS", "/usr/local/kubebuilder/bin"))
UNPACKED = ROOT / ".local" / "helm"
"""Where `make helm` puts Helm and kubectl."""
NAME = "graceful-worker"
"""The name of the installation: that of its namespace and of most objects."""
WATCH = f"{NAME}-watch"
"""The name of all that the watch of drains consists of."""

CUSTOM = {"cert-manager.io/v1", "monitoring.coreos.com/v1"}
"""API groups that are no part of Kubernetes; other tests look at the shape of their objects."""

Manifest = dict[str, Any]
every_installation = pytest.mark.parametrize("installation", INSTALLATIONS)
every_installation_and_release = pytest.mark.parametrize(
    ("installation", "release"),
    [(name, release) for name in INSTALLATIONS for release in (FIRST_RELEASES.get(name, OLDEST), RELEASES[-1])],
)


def kubectl() -> str:
    """Return a kubectl, or skip the test."""
    program = next(filter(None, (shutil.which("kubectl", path=path) for path in (None, ASSETS, UNPACKED))), None)
    if program is None:
        pytest.skip(f"no kubectl in PATH, {ASSETS} (KUBEBUILDER_ASSETS names the folder) or .local/helm (make helm)")
    return program


@cache
def _rendered(folder: Path) -> list[Manifest]:
    result = subprocess.run([kubectl(), "kustomize", str(folder)], text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    return list(YAML(typ="safe").load_all(result.stdout))


def render(folder: Path) -> list[Manifest]:
    """Render a folder; each call returns objects of its own."""
    return deepcopy(_rendered(folder))


def combined(components: Sequence[str], directory: Path) -> list[Manifest]:
    """Render the base with components, in their order."""

    def relative(folder: Path) -> str:
        return os.path.relpath(folder, directory)

    kustomization = {
        "resources": [relative(DEPLOY / "base")],
        "components": [relative(DEPLOY / "components" / name) for name in components],
    }
    # JSON is YAML.
    (directory / "kustomization.yaml").write_text(json.dumps(kustomization))
    return _rendered.__wrapped__(directory)


@cache
def _fault(manifest: str, release: str) -> str:
    # Most manifests are in all overlays.
    try:
        kubernetes_validate.validate(json.loads(manifest), release, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{error.json_path}: {error.message}"
    return ""


def faults(manifests: list[Manifest], release: str) -> dict[str, str]:
    """Say of which manifests the strict schema of a release finds something wrong; unknown fields are wrong, too."""
    found = {
        f"{manifest['kind']} {manifest['metadata']['name']}": _fault(json.dumps(manifest), release)
        for manifest in manifests
        if manifest["apiVersion"] not in CUSTOM
    }
    return {name: text for name, text in found.items() if text}


def installed(installation: str) -> list[Manifest]:
    return render(INSTALLATIONS[installation])


def select_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def entries(manifests: list[Manifest], resource: str) -> list[Manifest]:
    """Return the entries of the webhook's configuration that are about a resource, in their order."""
    configuration = select_one(manifests, "MutatingWebhookConfiguration")
    return [entry for entry in configuration["webhooks"] if entry["rules"][0]["resources"] == [resource]]


def select_one(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """Return the one of a kind and a name; without a name, the webhook's, or the only one that there is."""
    found = select_kind(manifests, kind)
    if name or len(found) > 1:
        found = [each for each in found if each["metadata"]["name"] == (name or NAME)]
    (manifest,) = found
    return manifest
