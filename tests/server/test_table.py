"""The operator's table of image commands, in a server started from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from webhook.cli.commands import main
from webhook.core.annotations import STATUS_ANNOTATION
from webhook.core.wrapper import wrapped_command
from webhook.images.command_table import read_table
from webhook.images.errors import InvalidTable

from .process import Server, Servers
from .samples import Review, fresh, patched, read_review

TABLE = """
[[image]]
image = "registry.example.com/*/web:*"
command = ["nginx"]

[[image]]
image = "registry.example.com/*"
entrypoint = ["docker-entrypoint"]
cmd = ["php", "bin/console", "messenger:consume", "async"]
stop_signal = "SIGQUIT"
"""


@pytest.fixture
def review() -> Review:
    return fresh(read_review("no-command"))


@pytest.fixture
def server(servers: Servers, tmp_path: Path) -> Server:
    table = tmp_path / "images.toml"
    table.write_text(TABLE)
    return servers.start(image_commands=table)


def worker_of(review: Review) -> dict[str, object]:
    container: dict[str, object] = review["request"]["object"]["spec"]["containers"][0]
    return container


def argv_after(server: Server, review: Review) -> list[str]:
    """Return the worker's command line in the patched pod, without the wrapper before it."""
    worker = patched(review, server.review(review).json["response"])["spec"]["containers"][0]
    return [*wrapped_command(worker.get("command") or ()), *(worker.get("args") or ())]


def framework_after(server: Server, review: Review) -> str:
    """Return the framework that the worker was recognised as."""
    annotations = patched(review, server.review(review).json["response"])["metadata"]["annotations"]
    framework: str = json.loads(annotations[STATUS_ANNOTATION])["workers"]["importer"].get("framework", "")
    return framework


def test_a_worker_without_a_command_runs_the_command_in_the_table(server: Server, review: Review) -> None:
    worker_of(review)["image"] = "registry.example.com/team/shop:1"
    assert argv_after(server, review)[:4] == ["docker-entrypoint", "php", "bin/console", "messenger:consume"]


def test_the_args_of_a_container_replace_cmd(server: Server, review: Review) -> None:
    worker_of(review).update(image="registry.example.com/team/shop:1", args=["celery", "worker"])
    assert framework_after(server, review) == "celery"
    assert argv_after(server, review) == ["celery", "worker"]


def test_the_framework_of_an_image_that_is_not_in_the_table_is_not_guessed(server: Server, review: Review) -> None:
    worker_of(review)["image"] = "other.example.com/shop:1"
    response = server.review(review).json["response"]
    assert response["auditAnnotations"]["reason"] == "injected"
    assert framework_after(server, fresh(review)) == ""


def test_a_decision_that_depends_on_an_image_is_not_cached_for_the_pod(server: Server, review: Review) -> None:
    worker_of(review)["image"] = "registry.example.com/team/shop:1"
    assert argv_after(server, review) == argv_after(server, fresh(review))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[image]]\nimage = 1\n", "str"),
        ("[[image]]\nimage = 'a'\n", "write either command, or entrypoint and cmd"),
        ("[[image]]\nimage = 'a'\ncommand = ['x']\ncmd = ['y']\n", "write either command, or entrypoint and cmd"),
        ("[[image]]\nimage = 'a'\ncommand = []\n", "length"),
        ("[[image]]\nimage = 'a'\ncomand = ['x']\n", "comand"),
        ("[[image]\n", "line 1"),
    ],
)
def test_the_error_for_an_invalid_table_names_the_file_and_the_problem(tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "images.toml"
    table.write_text(text)
    with pytest.raises(InvalidTable, match=str(table)) as caught:
        read_table(table)
    assert message in str(caught.value)


def test_a_command_with_an_invalid_table_fails_and_names_the_file(tmp_path: Path) -> None:
    table, pod = tmp_path / "images.toml", tmp_path / "pod.yaml"
    table.write_text("[[image]\n")
    pod.write_text("kind: Pod\nspec: {containers: [{name: worker, image: a}]}\n")
    result = CliRunner().invoke(main, ["explain", "-f", str(pod), "--image-commands", str(table)])
    assert result.exit_code == 1
    assert str(table) in result.output


@pytest.mark.parametrize("row", ["command = ['']", "entrypoint = ['', 'x']", "command = ['x']\nstop_signal = 'SIGFOO'"])
def test_a_row_that_no_container_could_run_is_refused(tmp_path: Path, row: str) -> None:
    table = tmp_path / "images.toml"
    table.write_text(f"[[image]]\nimage = 'a'\n{row}\n")
    with pytest.raises(InvalidTable, match="image 'a'"):
        read_table(table)
