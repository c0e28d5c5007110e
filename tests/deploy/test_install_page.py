"""The page on the installation: its overlays, paths, examples and commands are those that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from io import StringIO
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.deploy.rendered import (
    DEPLOY,
    FIRST_RELEASES,
    NAME,
    OVERLAYS,
    ROOT,
    installed,
    kubectl,
    of_kind,
    only,
    render,
)

TEXT = (ROOT / "docs" / "install.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"^\$ (.+)$", TEXT, re.MULTILINE)
KUBECTL_COMMANDS = [command for command in COMMANDS if command.startswith("kubectl ")]


def slug(heading: str) -> str:
    """Make the anchor of a heading as GitHub does."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_overlay_is_in_the_table() -> None:
    rows = re.findall(r"^\| \[([\w-]+)\]\(\.\./deploy/overlays/\1\) \|", TEXT, re.MULTILINE)
    assert sorted(rows) == list(OVERLAYS)


@pytest.mark.parametrize("overlay", FIRST_RELEASES)
def test_an_overlay_that_needs_a_later_kubernetes_says_so_in_the_table(overlay: str) -> None:
    (row,) = re.findall(rf"^\| \[{overlay}\].*$", TEXT, re.MULTILINE)
    assert f"Kubernetes {FIRST_RELEASES[overlay].removesuffix('.0')} " in row


def test_the_example_is_sorted_as_the_overlays_are() -> None:
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


def test_every_reference_leads_to_a_heading() -> None:
    headings = {slug(heading) for heading in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) - headings == set()


def test_every_alert_that_is_named_exists() -> None:
    groups = only(installed("monitoring"), "PrometheusRule")["spec"]["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    named = set(re.findall(r"`(GracefulWorker\w+)`", TEXT))
    assert named
    assert named <= alerts


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.partition("\n")[0])
def test_every_example_is_yaml(block: str) -> None:
    assert YAML(typ="safe").load(StringIO(block))


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
    entries = only(manifests, "MutatingWebhookConfiguration")["webhooks"]
    assert {entry["failurePolicy"] for entry in entries} == {"Ignore"}
    (container,) = only(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"REGISTRY/{NAME}:0.1.0"
    assert {"name": "GRACEFUL_WORKER_GRACE_PERIOD", "value": "1h30m"} in container["env"]
    assert of_kind(manifests, "ServiceMonitor")


@pytest.mark.parametrize("command", KUBECTL_COMMANDS)
def test_a_kubectl_command_has_a_verb_and_flags_that_kubectl_knows(command: str) -> None:
    words = re.sub(r"^kubectl (-n [\w-]+ )?", "", command.partition(" | ")[0]).split()
    # A verb may have one of its own, as `rollout status`; what follows `--help` is that verb's page.
    depth = 2 if words[0] in ("rollout", "create", "auth") else 1
    if words[:2] == ["create", "secret"]:
        depth = 3
    page = subprocess.run([kubectl(), *words[:depth], "--help"], text=True, capture_output=True, check=True).stdout
    common = subprocess.run([kubectl(), "options"], text=True, capture_output=True, check=True).stdout
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    assert [flag for flag in flags if f"{flag}=" not in page + common] == []


def test_the_names_in_the_commands_are_those_of_the_manifests() -> None:
    manifests = installed("default")
    for kind in ("deployment", "mutatingwebhookconfiguration"):
        names = set(re.findall(rf"\b{kind} ([\w-]+)$", "\n".join(KUBECTL_COMMANDS), re.MULTILINE))
        shipped = {m["metadata"]["name"] for m in manifests if m["kind"].lower() == kind}
        assert names <= shipped | {"NAME"}
    assert set(re.findall(r"kubectl -n ([\w-]+)", TEXT)) == {NAME, "workers"}
