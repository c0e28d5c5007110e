"""The installation page: the overlays, paths and examples that it names exist."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.deploy.rendered import (
    DEPLOY,
    FIRST_RELEASES,
    NAME,
    OVERLAYS,
    ROOT,
    render,
    select_kind,
    select_one,
)

TEXT = (ROOT / "docs" / "install.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_every_overlay_is_in_the_table() -> None:
    rows = re.findall(r"^\| \[([\w-]+)\]\(\.\./deploy/overlays/\1\) \|", TEXT, re.MULTILINE)
    assert sorted(rows) == list(OVERLAYS)


@pytest.mark.parametrize("overlay", FIRST_RELEASES)
def test_the_table_says_which_overlays_need_a_later_kubernetes(overlay: str) -> None:
    (row,) = re.findall(rf"^\| \[{overlay}\].*$", TEXT, re.MULTILINE)
    assert f"Kubernetes {FIRST_RELEASES[overlay].removesuffix('.0')} " in row


def test_the_example_is_sorted_as_the_overlays() -> None:
    (example,) = (block for block in BLOCKS if block.startswith("# kustomization.yaml"))
    options, shipped = (
        YAML(typ="safe").load(text)["sortOptions"]["legacySortOptions"]
        for text in (example, (DEPLOY / "kustomization.yaml").read_text())
    )
    assert options["orderFirst"] == shipped["orderFirst"][: len(options["orderFirst"])]
    assert options["orderFirst"][-1] == "Namespace"
    assert options["orderLast"] == shipped["orderLast"]


def test_every_path_exists() -> None:
    paths = set(re.findall(r"\b(?:deploy|examples|requirements)/[\w./-]*\w", TEXT))
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_example_of_a_kustomization_renders_and_does_what_it_says(tmp_path: Path) -> None:
    (example,) = (block for block in BLOCKS if block.startswith("# kustomization.yaml"))
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    (tmp_path / "kustomization.yaml").write_text(example)
    manifests = render(tmp_path)
    assert list(dict.fromkeys(manifest["kind"] for manifest in manifests))[:4] == [
        "ValidatingAdmissionPolicyBinding",
        "ValidatingAdmissionPolicy",
        "MutatingWebhookConfiguration",
        "Namespace",
    ]
    entries = select_one(manifests, "MutatingWebhookConfiguration")["webhooks"]
    assert {entry["failurePolicy"] for entry in entries} == {"Ignore"}
    (container,) = select_one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"REGISTRY/{NAME}:0.1.0"
    assert {"name": "GRACEFUL_WORKER_GRACE_PERIOD", "value": "1h30m"} in container["env"]
    assert select_kind(manifests, "ServiceMonitor")
