"""The options about images: an invalid value is reported before anything else happens."""

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
def test_a_file_that_cannot_be_used_is_an_error_with_its_name(pod: Path, other: Path, option: str) -> None:
    result = explain(pod, option, str(other))
    assert result.exit_code == 1
    assert str(other) in result.output
    assert "neither" not in result.output


def test_a_file_that_is_not_needed_is_not_read(pod: Path, other: Path) -> None:
    assert explain(pod, "--registry-ca", str(other), "--no-registry").exit_code == 0


@pytest.mark.parametrize("platform", ["linux", "linux/", "linux/arm/v7/x", "/amd64"])
def test_an_invalid_platform_is_a_usage_error(pod: Path, platform: str) -> None:
    result = explain(pod, "--image-platform", platform)
    assert result.exit_code == 2
    assert "linux/arm64" in result.output


def test_a_command_in_the_manifest_needs_no_registry(pod: Path) -> None:
    result = explain(pod, "--registry-host", "nothing.invalid")
    assert result.exit_code == 0
    assert "protected" in result.output


@pytest.fixture
def pod_of_unreachable_registry(pod: Path) -> Path:
    """A labelled pod whose image is in a registry that does not respond."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    pod.write_text(
        "kind: Pod\nmetadata: {labels: {graceful-worker: enabled}}\n"
        f"spec: {{containers: [{{name: worker, image: '{host}/team/app'}}]}}\n"
    )
    return pod


@pytest.mark.parametrize("options", [(), ("--registry-trouble", "admit")])
def test_if_the_registry_does_not_respond_the_worker_is_admitted_with_a_warning(
    pod_of_unreachable_registry: Path, options: tuple[str, ...]
) -> None:
    result = explain(pod_of_unreachable_registry, *options)
    assert result.exit_code == 0
    assert "protected" in result.output
    assert "[registry-trouble]" in result.output


def test_if_the_registry_does_not_respond_the_worker_is_refused_if_so_configured(
    pod_of_unreachable_registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_option = explain(pod_of_unreachable_registry, "--registry-trouble", "refuse")
    monkeypatch.setenv("GRACEFUL_WORKER_REGISTRY_TROUBLE", "refuse")
    for result in (by_option, explain(pod_of_unreachable_registry)):
        assert "refused" in result.output
        assert "connection refused; try again" in result.output
        assert "[registry-required]" in result.output


def test_a_pod_is_protected_as_unknown_if_requests_to_its_registry_are_forbidden(pod: Path) -> None:
    pod.write_text(
        "kind: Pod\nmetadata: {labels: {graceful-worker: enabled}}\nspec: {containers: [{name: a, image: b}]}\n"
    )
    result = explain(pod, "--registry-host", "nothing.invalid")
    assert result.exit_code == 0
    assert "image-host-forbidden" in result.output
    assert "[image-unknown]" in result.output
