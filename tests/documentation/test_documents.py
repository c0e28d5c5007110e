"""The documents: their generated parts are up to date, their examples are valid, and their links lead somewhere."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from tests.documentation.commands import PAGES
from tests.documentation.generated import DOCUMENTS, ROOT, generated
from webhook.core.injection import inject
from webhook.core.policy import Policy
from webhook.core.reasons import Kind, Reason

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
LABELS_ITS_NAMESPACE = "quick-start"
"""An example whose pod template has no label."""
SENTENCES = {reason.value: reason.sentence for reason in Reason}
YAML_BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_generated_parts_are_what_the_product_says(document: Path) -> None:
    text = document.read_text()
    assert generated(text) == text, "write them again: python -m tests.documentation.generated"


def pod_template(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the innermost template of a manifest: a CronJob has one of a Job."""
    spec = manifest["spec"]
    inner = spec.get("jobTemplate") or spec.get("template")
    return pod_template(inner) if inner else manifest


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("version", ["1.30.0", "1.37.0"])
def test_an_example_is_valid_and_protected(example: Path, version: str) -> None:
    manifest = YAML(typ="safe").load(example)
    kubernetes_validate.validate(manifest, version, strict=True)
    if "spec" in manifest:
        template = pod_template(manifest)
        assert inject(template, Policy()).decision.outcome is Kind.PROTECTED
        labelled = template["metadata"]["labels"].get("graceful-worker") == "enabled"
        assert labelled is (example.stem != LABELS_ITS_NAMESPACE)


@pytest.mark.parametrize("block", YAML_BLOCKS)
def test_a_yaml_block_is_yaml(block: str) -> None:
    assert YAML(typ="safe").load(StringIO(block))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_quotes_from_explain_is_what_explain_says(page: Path) -> None:
    lines = re.findall(r"^ +[·+!] (.+) \[([a-z-]+)\]$", page.read_text(), re.MULTILINE)
    assert [text for text, code in lines if not text.startswith(SENTENCES[code])] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_what_make_check_leaves_out_is_there_and_said() -> None:
    (slow,) = re.findall(r"^SLOW := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    said = (ROOT / "CONTRIBUTING.md").read_text()
    for name in slow.split():
        assert (ROOT / "tests" / name).exists()
        assert f"`tests/{name}`" in said


def test_the_readme_names_the_targets_that_one_needs_first() -> None:
    readme = (ROOT / "README.md").read_text()
    targets = ("demo", "serve", "check", "test")
    assert [target for target in targets if f"`make {target}`" not in readme] == []
