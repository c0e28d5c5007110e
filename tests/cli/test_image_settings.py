"""The options about images: a value that cannot be used is reported before anything is done."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from webhook.cli.commands import main


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    file = tmp_path / "pod.yaml"
    file.write_text("kind: Pod\nspec: {containers: [{name: worker, image: a, command: [celery, worker]}]}\n")
    return file


@pytest.fixture
def other(tmp_path: Path) -> Path:
    file = tmp_path / "other"
    file.write_text("neither a certificate nor JSON")
    return file


def explain(pod: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["explain", "-f", str(pod), *options])


@pytest.mark.parametrize("option", ["--registry-ca", "--registry-credentials"])
def test_a_file_that_cannot_be_used_is_named(pod: Path, other: Path, option: str) -> None:
    result = explain(pod, option, str(other))
    assert result.exit_code == 1
    assert str(other) in result.output
    assert "neither" not in result.output


def test_a_file_that_is_not_needed_is_not_read(pod: Path, other: Path) -> None:
    assert explain(pod, "--registry-ca", str(other), "--no-registry").exit_code == 0


@pytest.mark.parametrize("platform", ["linux", "linux/", "linux/arm/v7/x", "/amd64"])
def test_what_is_no_platform_is_refused(pod: Path, platform: str) -> None:
    result = explain(pod, "--image-platform", platform)
    assert result.exit_code == 2
    assert "linux/arm64" in result.output


def test_a_command_in_the_manifest_needs_no_registry(pod: Path) -> None:
    result = explain(pod, "--registry-host", "nothing.invalid")
    assert result.exit_code == 0
    assert "protected" in result.output


@pytest.fixture
def silent(pod: Path) -> Path:
    """A labelled pod whose image is in a registry that does not respond."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    pod.write_text(
        "kind: Pod\nmetadata: {labels: {graceful-worker: enabled}}\n"
        f"spec: {{containers: [{{name: worker, image: '{host}/team/app'}}]}}\n"
    )
    return pod


@pytest.mark.parametrize("options", [(), ("--registry-trouble", "admit")])
def test_while_a_registry_does_not_answer_a_worker_is_admitted_with_a_warning(
    silent: Path, options: tuple[str, ...]
) -> None:
    result = explain(silent, *options)
    assert result.exit_code == 0
    assert "protected" in result.output
    assert "[registry-trouble]" in result.output


def test_while_a_registry_does_not_answer_a_worker_is_refused_where_the_operator_wants_that(
    silent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_option = explain(silent, "--registry-trouble", "refuse")
    monkeypatch.setenv("GRACEFUL_WORKER_REGISTRY_TROUBLE", "refuse")
    for result in (by_option, explain(silent)):
        assert "refused" in result.output
        assert "connection refused; try again" in result.output
        assert "[registry-required]" in result.output


def test_a_pod_is_protected_as_unknown_where_its_registry_may_not_be_asked(pod: Path) -> None:
    pod.write_text(
        "kind: Pod\nmetadata: {labels: {graceful-worker: enabled}}\nspec: {containers: [{name: a, image: b}]}\n"
    )
    result = explain(pod, "--registry-host", "nothing.invalid")
    assert result.exit_code == 0
    assert "image-host-forbidden" in result.output
    assert "[image-unknown]" in result.output
