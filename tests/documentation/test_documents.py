"""The documents: their generated parts are up to date, the README's commands work, and the examples are valid."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from tests.documentation.generated import DOCUMENTS, README, ROOT, generated
from webhook.core.decision import Policy
from webhook.core.injection import inject
from webhook.core.reasons import Kind

TEXT = README.read_text()
COMMANDS = re.findall(r"^\$ (.+)$", TEXT, re.MULTILINE)
OURS = ".venv/bin/graceful-worker "
NEEDS_MORE = (f"{OURS}serve ", f"{OURS}status", f"{OURS}repair", f"{OURS}drains")
"""They serve until they are stopped, or need a cluster: other tests run them."""
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_generated_parts_are_what_the_product_says(document: Path) -> None:
    text = document.read_text()
    assert generated(text) == text, "write them anew: python -m tests.documentation.generated"


def test_every_command_is_one_that_a_test_here_runs() -> None:
    beginnings = ("make ", "kubectl ", OURS)
    assert [command for command in COMMANDS if not command.startswith(beginnings)] == []


@pytest.mark.parametrize("target", [c.removeprefix("make ") for c in COMMANDS if c.startswith("make ")])
def test_a_make_target_exists(target: str) -> None:
    subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(OURS) and not c.startswith(NEEDS_MORE)])
def test_a_command_works(command: str, tmp_path: Path) -> None:
    arguments = command.removeprefix(OURS).partition(" | ")[0].split()
    arguments = [str(tmp_path / word) if word.startswith("certs-") else word for word in arguments]
    result = subprocess.run(
        [sys.executable, "-m", "webhook", *arguments], cwd=ROOT, text=True, capture_output=True, check=True
    )
    assert result.stdout


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("kubectl ")])
def test_a_kubectl_command_has_arguments_that_kubectl_knows(command: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    verb = command.split()[1]
    known = subprocess.run(["kubectl", verb, "--help"], text=True, capture_output=True, check=True).stdout
    flags = re.findall(r"(?<= )--[a-z-]+", command)
    assert [flag for flag in flags if flag not in known] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("version", ["1.30.0", "1.37.0"])
def test_an_example_is_valid_and_protected(example: Path, version: str) -> None:
    manifest = YAML(typ="safe").load(example)
    kubernetes_validate.validate(manifest, version, strict=True)
    if "spec" in manifest:
        injection = inject(manifest["spec"].get("template", manifest), Policy())
        assert injection.decision.outcome is Kind.PROTECTED


def test_every_link_to_a_file_leads_somewhere() -> None:
    documents = [README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    for document in documents:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_what_make_check_leaves_out_is_there_and_said() -> None:
    (slow,) = re.findall(r"^SLOW := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    said = (ROOT / "CONTRIBUTING.md").read_text()
    for name in slow.split():
        assert (ROOT / "tests" / name).exists()
        assert f"`tests/{name}`" in said
