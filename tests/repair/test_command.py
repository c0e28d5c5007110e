"""How workloads are named, and the exit codes of invalid commands and failed requests."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from webhook.cli.commands import main
from webhook.cli.repair import OwnerName
from webhook.inspection.requests import PERMISSIONS, REPAIR_PERMISSIONS, RESTART_PERMISSIONS


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("deployment/emails", ("deployment", "emails")),
        ("deploy/emails", ("deployment", "emails")),
        ("Deployments.apps/emails", ("deployment", "emails")),
        ("sts/mailer", ("statefulset", "mailer")),
        ("daemonsets/agent", ("daemonset", "agent")),
        ("cloneset/clone", ("cloneset", "clone")),
    ],
)
def test_an_owner_is_named_as_in_kubectl(text: str, owner: tuple[str, str]) -> None:
    assert OwnerName().convert(text, None, None) == owner


@pytest.mark.parametrize("text", ["emails", "deployment/", "/emails", "deployment/a/b"])
def test_an_invalid_name_is_refused_with_a_valid_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="use a value such as deployment/emails"):
        OwnerName().convert(text, None, None)


def test_an_owner_needs_a_namespace() -> None:
    result = CliRunner().invoke(main, ["repair", "deployment/emails"])
    assert result.exit_code == 2
    assert "The namespace of deployment/emails is missing: add -n NAME." in result.stderr


def test_without_a_kubeconfig_the_exit_code_is_2(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["repair", "--yes"], env={"KUBECONFIG": str(tmp_path / "none")})
    assert (result.exit_code, result.stdout) == (2, "")
    assert "does not exist" in result.stderr


def test_the_help_lists_the_rights() -> None:
    help_text = CliRunner().invoke(main, ["repair", "--help"]).stdout
    assert [
        right for right in (*PERMISSIONS, *REPAIR_PERMISSIONS, *RESTART_PERMISSIONS) if right not in help_text
    ] == []
