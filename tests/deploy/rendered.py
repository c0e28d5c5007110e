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
"""The first Kubernetes release that has all kinds of an overlay, if it is not the oldest supported one."""
ASSETS = Path(os.environ.get("KUBEBUILDER_ASSETS", "/usr/local/kubebuilder/bin"))
UNPACKED = ROOT / ".local" / "helm"
"""Where `make helm` puts Helm and kubectl."""
NAME = "graceful-worker"
"""The name of the installation: that of its namespace and of most objects."""
WATCH = f"{NAME}-watch"
"""The name of all objects of the drain watch."""

CUSTOM = {"cert-manager.io/v1", "monitoring.coreos.com/v1"}
"""API groups that are not part of Kubernetes; other tests check the fields of their objects."""

Manifest = dict[str, Any]
every_installation = pytest.mark.parametrize("installation", INSTALLATIONS)
every_installation_and_release = pytest.mark.parametrize(
    ("installation", "release"),
    [(name, release) for name in INSTALLATIONS for release in (FIRST_RELEASES.get(name, OLDEST), RELEASES[-1])],
)


def kubectl() -> str:
    """Return the path of kubectl, or skip the test."""
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
    """Render a folder; each call returns new objects."""
    return deepcopy(_rendered(folder))


def combined(components: Sequence[str], directory: Path) -> list[Manifest]:
    """Render the base with components, in this order."""

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
    # Cached, because most manifests are in all overlays.
    try:
        kubernetes_validate.validate(json.loads(manifest), release, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{error.json_path}: {error.message}"
    return ""


def faults(manifests: list[Manifest], release: str) -> dict[str, str]:
    """Return the errors of a release's strict schema, by manifest; unknown fields are errors, too."""
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
    """Return the entries of the webhook configuration for a resource, in order."""
    configuration = select_one(manifests, "MutatingWebhookConfiguration")
    return [entry for entry in configuration["webhooks"] if entry["rules"][0]["resources"] == [resource]]


def select_one(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """Return the object of a kind and a name; without a name, that of the webhook or the only one."""
    found = select_kind(manifests, kind)
    if name or len(found) > 1:
        found = [each for each in found if each["metadata"]["name"] == (name or NAME)]
    (manifest,) = found
    return manifest
